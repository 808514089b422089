"""Photos are cleaned before anybody sees them; only the driver of the ride sees them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.core.photos import UPLOAD_BYTES, Picture, clean_uploads, photo_of_rider
from service.model import SHOWS_UNICORN, AssignedUnicorn, RideStatus
from service.model.errors import PhotoNotFound, PhotoRefused, RideNotFound, Unavailable
from tests.support.builders import BATTERY_PARK, a_ride, a_unicorn
from tests.support.fakes_photos import FakePhotos
from tests.support.service import Service

TAKEN = AssignedUnicorn("u1", "Shadowfax", "White", "Male", BATTERY_PARK)
PICTURE = Picture(b"photo", b"small")


def cleaned(upload: bytes) -> Picture:
    if upload == b"a picture":
        return PICTURE
    if upload == b"deadly":
        raise SystemExit
    raise PhotoRefused("the file is no picture")


@pytest.fixture
def photos() -> FakePhotos:
    photos = FakePhotos()
    photos.link_identity("identity-1", "rider-1")
    return photos


def with_photo() -> FakePhotos:
    photos = FakePhotos()
    photos.link_identity("identity-1", "rider-1")
    photos.keep("rider-1", PICTURE)
    return photos


def test_an_upload_is_cleaned_and_taken_away(photos: FakePhotos) -> None:
    photos.uploaded["identity-1"] = b"a picture"
    assert clean_uploads(photos, cleaned, lambda: True) == 1
    photo = photos.get("rider-1")
    assert photo
    assert photo.name
    assert photos.shown[photo.name] == PICTURE
    assert photos.uploaded == {}


@pytest.mark.parametrize("upload", [b"a virus", b"x" * (UPLOAD_BYTES + 1)])
def test_a_refused_upload_is_neither_kept_nor_shown(photos: FakePhotos, upload: bytes) -> None:
    photos.uploaded["identity-1"] = upload
    assert clean_uploads(photos, cleaned, lambda: True) == 0
    photo = photos.get("rider-1")
    assert photo
    assert photo.name is None
    assert photo.refused
    assert (photos.uploaded, photos.shown) == ({}, {})


def test_a_refused_upload_leaves_the_earlier_photo() -> None:
    photos = with_photo()
    before = photos.get("rider-1")
    photos.uploaded["identity-1"] = b"a virus"
    clean_uploads(photos, cleaned, lambda: True)
    after = photos.get("rider-1")
    assert before
    assert after
    assert after.name == before.name
    assert after.refused


def test_an_upload_that_could_not_be_stored_is_lost_and_its_owner_sees_that(
    photos: FakePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(sub: str, picture: Picture) -> None:
        raise Unavailable("photos: no answer")

    monkeypatch.setattr(photos, "keep", keep)
    photos.uploaded["identity-1"] = b"a picture"
    with pytest.raises(Unavailable):
        clean_uploads(photos, cleaned, lambda: True)
    assert photos.uploaded == {}
    photo = photos.get("rider-1")
    assert photo
    assert photo.refused == "could not be stored: upload it again"


def test_an_upload_that_kills_the_process_is_not_tried_again(photos: FakePhotos) -> None:
    photos.uploaded["identity-1"] = b"deadly"
    with pytest.raises(SystemExit):
        clean_uploads(photos, cleaned, lambda: True)
    assert photos.uploaded == {}
    assert clean_uploads(photos, cleaned, lambda: True) == 0


def test_an_upload_of_an_unknown_identity_stays(photos: FakePhotos) -> None:
    photos.uploaded |= {"stranger": b"a picture", "identity-1": b"a picture"}
    assert clean_uploads(photos, cleaned, lambda: True) == 1
    assert list(photos.uploaded) == ["stranger"]


def test_no_photo_is_begun_after_the_time_is_up(photos: FakePhotos) -> None:
    photos.uploaded["identity-1"] = b"a picture"
    assert clean_uploads(photos, cleaned, lambda: False) == 0
    assert list(photos.uploaded) == ["identity-1"]


def test_no_further_upload_is_listed_after_the_time_is_up(
    photos: FakePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []

    def waiting() -> Iterator[str]:
        for name in ("identity-1", "identity-2"):
            listed.append(name)
            yield name

    monkeypatch.setattr(photos, "waiting", waiting)
    clean_uploads(photos, cleaned, lambda: False)
    assert listed == ["identity-1"]


@pytest.mark.parametrize("status", RideStatus)
def test_a_unicorn_sees_its_rider_only_while_it_is_assigned(
    service: Service, status: RideStatus
) -> None:
    service.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    service.ports.rides.create(a_ride(status=status, unicorn=TAKEN))
    if status in SHOWS_UNICORN:
        assert photo_of_rider(service.ports, with_photo(), "u1", "ride-1").url
    else:
        with pytest.raises(RideNotFound):
            photo_of_rider(service.ports, with_photo(), "u1", "ride-1")


def test_only_the_driver_of_the_ride_sees_the_photo_of_its_rider(service: Service) -> None:
    service.ports.unicorns.create(a_unicorn(unicorn_id="u2", account_sub="driver-2"))
    service.ports.rides.create(a_ride(status=RideStatus.MATCHED, unicorn=TAKEN))
    with pytest.raises(RideNotFound):
        photo_of_rider(service.ports, with_photo(), "u2", "ride-1")
    with pytest.raises(RideNotFound):
        photo_of_rider(service.ports, with_photo(), "u2", "ride-9")


def test_a_photo_that_is_not_clean_yet_is_not_seen(service: Service, photos: FakePhotos) -> None:
    service.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    service.ports.rides.create(a_ride(status=RideStatus.MATCHED, unicorn=TAKEN))
    photos.uploaded["identity-1"] = b"a picture"
    with pytest.raises(PhotoNotFound):
        photo_of_rider(service.ports, photos, "u1", "ride-1")
