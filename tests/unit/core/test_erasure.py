"""A rider is erased from all ended rides; an account is deleted with all its data or not at all."""

from __future__ import annotations

import pytest

from service.core.erasure import Erasure, delete_account, erase_rider
from service.core.photos import Picture
from service.core.ports import WriteConflict
from tests.support.builders import a_finished_ride
from tests.support.fakes_photos import FakeAccounts, FakePhotos
from tests.support.service import Service


def test_a_ride_that_changed_at_the_same_moment_counts_as_open(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise WriteConflict

    service.rides.put(a_finished_ride(ride_id="contended"))
    monkeypatch.setattr(service.rides, "save", lose)
    assert erase_rider(service.rides, service.dead_letters, "rider-1", service.now) == Erasure(
        0, ("contended",)
    )


@pytest.fixture
def photos() -> FakePhotos:
    photos = FakePhotos()
    photos.link_identity("identity-1", "rider-1")
    photos.keep("rider-1", Picture(b"photo", b"small"))
    return photos


def delete(service: Service, photos: FakePhotos | None) -> list[str]:
    """Delete the account; returns what was ended, in order."""
    accounts, ended = FakeAccounts(), list[str]()
    delete_account(
        service.rides,
        service.dead_letters,
        photos,
        lambda _: ended.append("tokens"),
        accounts.delete,
        "rider-1",
        service.now,
    )
    return ended + accounts.deleted


def test_tokens_rides_and_photo_end_before_the_account(
    service: Service, photos: FakePhotos
) -> None:
    service.rides.put(a_finished_ride(ride_id="ended"))
    assert delete(service, photos) == ["tokens", "rider-1"]
    stored = service.rides.get("ended")
    assert stored
    assert stored.rider_id != "rider-1"
    assert photos.get("rider-1") is None


def test_an_account_ends_where_there_are_no_photos(service: Service) -> None:
    assert delete(service, None) == ["tokens", "rider-1"]
