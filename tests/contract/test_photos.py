"""Photos on the fake and on a real bucket and table: uploads, links and the end of both."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import urllib3

from service.core.photos import UPLOAD_BYTES, Photo, Picture
from service.model.errors import PhotoRefused
from service.settings import Settings
from service.stores.dynamodb.schema import create_tables
from service.stores.photos import S3Photos
from tests.support.dynamodb import LostAnswers
from tests.support.fakes_photos import FakePhotos
from tests.support.infrastructure import MiniStack

PICTURE = Picture(b"\xff\xd8 a photo", b"\xff\xd8 small")


def a_bucket(ministack: MiniStack) -> tuple[Any, str]:
    """S3 as its owner sees it, and a new bucket."""
    s3 = ministack.client("s3")
    bucket = f"photos-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    return s3, bucket


class Real:
    """The stores on MiniStack, and the bucket beneath them."""

    def __init__(self, ministack: MiniStack) -> None:
        self.s3, self.bucket = a_bucket(ministack)
        settings = Settings(
            aws_region=ministack.region,
            redis_url="redis://127.0.0.1:1/0",
            rides_table="Rides-photos",
            unicorns_table="Unicorns-photos",
            operations_table="Operations-photos",
        )
        self.dynamodb = ministack.dynamodb_client()
        create_tables(self.dynamodb, settings)
        table = settings.operations_table
        self.photos = S3Photos(self.dynamodb, table, self.bucket, ministack.region)

    def upload(self, identity_id: str, data: bytes) -> None:
        key = f"private/{identity_id}/photo"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def kept(self) -> int:
        return int(self.s3.list_objects_v2(Bucket=self.bucket)["KeyCount"])


class Fake:
    def __init__(self) -> None:
        self.photos = FakePhotos()

    def upload(self, identity_id: str, data: bytes) -> None:
        self.photos.uploaded[identity_id] = data

    def kept(self) -> int:
        return 2 * len(self.photos.shown) + len(self.photos.uploaded)


@pytest.fixture(params=["fake", "real"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "fake":
        return Fake()
    ministack: MiniStack = request.getfixturevalue("ministack")
    for name, value in (ministack.environment | {"AWS_ENDPOINT_URL_S3": ministack.url}).items():
        monkeypatch.setenv(name, value)
    return Real(ministack)


@pytest.fixture
def sub() -> str:
    return str(uuid.uuid4())


def test_a_rider_without_a_photo_has_none(place: Any, sub: str) -> None:
    assert place.photos.get(sub) is None
    assert place.photos.owner(sub) is None
    assert list(place.photos.waiting()) == []
    assert place.photos.take(sub) is None
    place.photos.forget(sub)


def test_an_upload_is_found_by_its_identity_and_taken_once(place: Any, sub: str) -> None:
    place.photos.link_identity("identity-1", sub)
    place.photos.link_identity("identity-1", sub)
    place.upload("identity-1", b"a file")
    assert list(place.photos.waiting()) == ["identity-1"]
    assert place.photos.owner("identity-1") == sub
    assert place.photos.take("identity-1") == b"a file"
    assert place.photos.take("identity-1") is None
    assert list(place.photos.waiting()) == []


def test_an_upload_that_is_too_large_is_removed_and_refused(place: Any, sub: str) -> None:
    place.photos.link_identity("identity-1", sub)
    place.upload("identity-1", bytes(UPLOAD_BYTES + 1))
    with pytest.raises(PhotoRefused):
        place.photos.take("identity-1")
    assert place.kept() == 0


def test_a_new_photo_takes_the_place_of_the_one_before(place: Any, sub: str) -> None:
    place.photos.link_identity("identity-1", sub)
    place.photos.refuse(sub, "the picture moves")
    place.photos.keep(sub, PICTURE)
    first = place.photos.get(sub)
    assert (first.identity_id, first.refused) == ("identity-1", None)
    place.photos.keep(sub, PICTURE)
    assert place.photos.get(sub).name != first.name or isinstance(place, Fake)
    assert place.kept() == 2
    place.photos.refuse(sub, "the picture moves")
    assert place.photos.get(sub).name
    assert place.photos.get(sub).refused == "the picture moves"


def test_forgetting_an_account_leaves_no_file_and_no_item(place: Any, sub: str) -> None:
    place.photos.link_identity("identity-1", sub)
    place.photos.keep(sub, PICTURE)
    place.upload("identity-1", b"one more")
    place.photos.forget(sub)
    assert place.kept() == 0
    assert place.photos.get(sub) is None
    assert place.photos.owner("identity-1") is None


def test_an_upload_that_is_cleaned_after_the_end_of_the_account_leaves_nothing(
    place: Any, sub: str
) -> None:
    place.photos.link_identity("identity-1", sub)
    place.photos.forget(sub)
    place.photos.keep(sub, PICTURE)
    place.photos.refuse(sub, "the picture moves")
    assert place.kept() == 0
    assert place.photos.get(sub) is None


@pytest.mark.parametrize("ends_with", ["the account", "the next photo"])
@pytest.mark.parametrize("lost_call", [1, 2, 3, 4, 5])
def test_no_file_stays_of_a_photo_that_was_interrupted(
    real: Real, sub: str, monkeypatch: pytest.MonkeyPatch, lost_call: int, ends_with: str
) -> None:
    real.photos.link_identity("identity-1", sub)
    real.photos.keep(sub, PICTURE)
    calls = itertools.count(1)
    with monkeypatch.context() as dying:
        for name in ("_store", "show", "_delete_photo"):
            call = getattr(real.photos, name)
            dying.setattr(real.photos, name, partial(die_at, lost_call, calls, call))
        with pytest.raises(SystemExit):
            real.photos.keep(sub, PICTURE)
    assert real.photos.get(sub)
    if ends_with == "the account":
        real.photos.forget(sub)
        assert real.kept() == 0
    else:
        real.photos.keep(sub, PICTURE)
        assert real.kept() == 2


def test_the_end_of_an_account_leaves_no_file_of_a_photo_that_was_begun_meanwhile(
    real: Real, sub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.photos.link_identity("identity-1", sub)
    real.photos.keep(sub, PICTURE)
    deleted = real.photos._deleted

    def begin_another_and_delete(item_id: str) -> Any:
        if item_id == f"photo#{sub}":
            with monkeypatch.context() as dying:
                dying.setattr(real.photos, "show", partial(die_at, 1, itertools.count(1), None))
                with pytest.raises(SystemExit):
                    real.photos.keep(sub, PICTURE)
        return deleted(item_id)

    monkeypatch.setattr(real.photos, "_deleted", begin_another_and_delete)
    real.photos.forget(sub)
    assert real.kept() == 0


@pytest.mark.parametrize("overtaken_at", [1, 2])
def test_of_two_photos_at_once_the_one_that_began_last_is_shown(
    real: Real, sub: str, monkeypatch: pytest.MonkeyPatch, overtaken_at: int
) -> None:
    real.photos.link_identity("identity-1", sub)
    store, last = real.photos._store, Picture(b"\xff\xd8 the last", PICTURE.thumbnail)
    calls = itertools.count(1)

    def store_and_be_overtaken(key: str, body: bytes) -> None:
        store(key, body)
        if next(calls) == overtaken_at:
            real.photos.keep(sub, last)

    monkeypatch.setattr(real.photos, "_store", store_and_be_overtaken)
    real.photos.keep(sub, PICTURE)
    shown = real.s3.get_object(Bucket=real.bucket, Key=real.photos.get(sub).name)
    assert shown["Body"].read() == last.photo
    assert real.kept() == 2


def die_at(number: int, calls: Iterator[int], call: Any, *args: Any) -> Any:
    """Make the call, or end the process before the call of this number."""
    if next(calls) == number:
        raise SystemExit
    return call(*args)


@pytest.fixture
def real(ministack: MiniStack, monkeypatch: pytest.MonkeyPatch) -> Real:
    for name, value in (ministack.environment | {"AWS_ENDPOINT_URL_S3": ministack.url}).items():
        monkeypatch.setenv(name, value)
    return Real(ministack)


def sent(real: Real, data: bytes, **changes: str) -> int:
    """The status of an upload by the form, with these fields changed."""
    form = real.photos.form("identity-1", "image/jpeg")
    fields: dict[str, Any] = {**form.fields, **changes, "file": ("photo.jpg", data)}
    return urllib3.request("POST", form.url, fields=fields, timeout=10).status


def test_the_form_takes_a_photo_and_nothing_else(real: Real) -> None:
    assert sent(real, b"a photo") == 204
    assert real.photos.take("identity-1") == b"a photo"
    assert sent(real, b"") >= 400
    assert sent(real, bytes(UPLOAD_BYTES + 1)) >= 400
    assert sent(real, b"x", key="private/identity-2/photo") >= 400
    assert sent(real, b"x", **{"Content-Type": "text/html"}) >= 400
    assert real.kept() == 0


def test_a_link_shows_the_photo_to_whoever_has_it_and_no_other_way(real: Real) -> None:
    real.photos.link_identity("identity-1", "rider-of-links")
    real.photos.keep("rider-of-links", PICTURE)
    links = real.photos.links(real.photos.get("rider-of-links").name)
    for url, data in ((links.url, PICTURE.photo), (links.thumbnail_url, PICTURE.thumbnail)):
        answer = urllib3.request("GET", url, timeout=10)
        assert (answer.status, answer.data) == (200, data)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert "X-Amz-Expires=60" in url
        assert urllib3.request("GET", url.partition("?")[0], timeout=10).status == 403


def test_a_photo_that_is_kept_while_the_account_ends_is_deleted_too(
    real: Real, sub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.photos.link_identity("identity-1", sub)
    real.photos.keep(sub, PICTURE)
    read = real.photos.get

    def read_before_the_next_one(sub: str) -> Photo | None:
        photo = read(sub)
        real.photos.keep(sub, PICTURE)
        return photo

    monkeypatch.setattr(real.photos, "get", read_before_the_next_one)
    real.photos.forget(sub)
    assert real.kept() == 0
    assert read(sub) is None


def test_a_photo_that_is_shown_stays_although_the_answer_to_the_write_is_lost(
    real: Real, sub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt finds the photo that the first one stored."""
    real.photos.link_identity("identity-1", sub)
    real.photos.keep(sub, PICTURE)
    update = real.photos._updated
    with LostAnswers(real.dynamodb, 0) as lost:

        def lose_its_answer(*args: Any, **more: Any) -> Any:
            lost.left = 1
            return update(*args, **more)

        monkeypatch.setattr(real.photos, "_updated", lose_its_answer)
        real.photos.keep(sub, PICTURE)
    assert (lost.left, real.kept()) == (0, 2)
    shown = real.photos.get(sub)
    assert shown
    assert real.s3.head_object(Bucket=real.bucket, Key=shown.name)
