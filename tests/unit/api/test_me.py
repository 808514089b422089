"""An account's own routes: what is known, the photo, the sign-out, the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.auth.errors import InvalidToken
from service.auth.principal import Principal
from service.core.photos import Picture
from service.http.context import IdentityDesk
from service.model import AssignedUnicorn, RideStatus
from service.model.errors import Unavailable
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api
from tests.support.builders import BATTERY_PARK, a_ride, a_unicorn
from tests.support.fakes_oversight import FakeRevocations
from tests.support.fakes_photos import FakeAccounts, FakePhotos

IDENTITY = "us-east-1:00000000-0000-4000-8000-000000000001"
TAKEN = AssignedUnicorn("u1", "Shadowfax", "White", "Male", BATTERY_PARK)
FORM = {"content_type": "image/jpeg", "id_token": "id-of-rider-1"}


class IdTokens:
    """Knows the ID tokens of two riders."""

    def verify(self, token: str, now: float) -> Principal:
        if not token.startswith("id-of-"):
            raise InvalidToken("unknown")
        return a_principal(token.removeprefix("id-of-").removesuffix("-signed-out"))


class Pool:
    """The identity pool, which does not know users who signed out."""

    def identity_of(self, id_token: str) -> str:
        if "signed-out" in id_token:
            raise InvalidToken("refused by the identity pool")
        return IDENTITY


@pytest.fixture
def photos() -> FakePhotos:
    return FakePhotos()


@pytest.fixture
def accounts() -> FakeAccounts:
    return FakeAccounts()


@pytest.fixture
def revocations() -> FakeRevocations:
    return FakeRevocations()


@pytest.fixture
def api(photos: FakePhotos, accounts: FakeAccounts, revocations: FakeRevocations) -> Api:
    desk = IdentityDesk(IdTokens(), Pool())
    return build_api(photos=photos, accounts=accounts, revocations=revocations, identities=desk)


def a_session(monkeypatch: pytest.MonkeyPatch, **claims: Any) -> None:
    """The token `session` has these claims from now on."""
    monkeypatch.setitem(helpers.PRINCIPALS, "session", a_principal(**claims))


def show_photo(photos: FakePhotos) -> None:
    photos.link_identity(IDENTITY, "rider-1")
    photos.keep("rider-1", Picture(b"photo", b"small"))


def test_an_account_is_what_its_token_says(api: Api) -> None:
    told = api.call("GET", "/v1/me")
    assert told.headers["Cache-Control"] == "no-store"
    assert told.json["sub"] == "rider-1"
    assert told.json["groups"] == []
    assert "wildrydes/rides.read" in told.json["scopes"]
    assert (told.json["photo"], told.json["photo_refused"]) == (None, None)


def test_an_account_shows_its_photo_for_a_minute(api: Api, photos: FakePhotos) -> None:
    show_photo(photos)
    photo = api.call("GET", "/v1/me").json["photo"]
    assert photo["thumbnail_url"] == f"{photo['url']}-small"
    shown_until = api.clock[0] + timedelta(seconds=60)
    assert datetime.fromisoformat(photo["expires_at"]) == shown_until
    photos.refuse("rider-1", "the picture moves")
    told = api.call("GET", "/v1/me").json
    assert told["photo"]
    assert told["photo_refused"] == "the picture moves"


def test_a_form_takes_one_file_of_one_type_at_the_callers_place(api: Api) -> None:
    form = api.call("POST", "/v1/me/photo", FORM)
    assert form.status_code == 200
    assert form.json["fields"] == {"key": f"private/{IDENTITY}/photo", "Content-Type": "image/jpeg"}
    assert datetime.fromisoformat(form.json["expires_at"]) == api.clock[0] + timedelta(minutes=5)
    again = api.call("POST", "/v1/me/photo", {"content_type": "image/png"})
    assert again.json["fields"]["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content_type": "image/jpeg"}, "id_token"),
        ({**FORM, "id_token": "forged"}, "id_token"),
        ({**FORM, "id_token": "id-of-rider-1-signed-out"}, "id_token"),
        ({**FORM, "id_token": "id-of-rider-2"}, "id_token"),
        ({**FORM, "content_type": "image/gif"}, "content_type"),
        ({**FORM, "content_type": "text/html"}, "content_type"),
        ({**FORM, "identity_id": IDENTITY}, "identity_id"),
    ],
)
def test_nobody_gets_a_form_for_anothers_place(
    api: Api, photos: FakePhotos, body: dict[str, str], field: str
) -> None:
    answer = api.call("POST", "/v1/me/photo", body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == field
    assert photos.get("rider-1") is photos.get("rider-2") is None


@pytest.mark.parametrize("has_photo", [True, False])
def test_a_process_that_does_not_know_a_revocation_yet_links_no_identity(
    api: Api,
    photos: FakePhotos,
    revocations: FakeRevocations,
    monkeypatch: pytest.MonkeyPatch,
    has_photo: bool,
) -> None:
    """The account may have been deleted. If it was only signed out, its photo stays."""
    if has_photo:
        show_photo(photos)

    def identity_of(_pool: Pool, _id_token: str) -> str:
        # Another process revokes the account after the guard of this one has admitted the call.
        now = api.clock[0]
        revocations.put("sub", "rider-1", revoked_at=now, expires_at=now + timedelta(hours=1))
        return IDENTITY

    monkeypatch.setattr(Pool, "identity_of", identity_of)
    assert api.call("POST", "/v1/me/photo", FORM).status_code == 401
    photo = photos.get("rider-1")
    assert (photo is not None, bool(photo and photo.name)) == (has_photo, has_photo)


def test_where_photos_are_off_there_is_no_form(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = build_api()
    assert bare.call("POST", "/v1/me/photo", FORM).status_code == 404
    half = build_api(photos=FakePhotos())  # with a bucket and no identity pool
    first = {"content_type": "image/jpeg"}
    assert half.call("POST", "/v1/me/photo", first).status_code == 404
    assert bare.call("GET", "/v1/me").json["photo"] is None


def test_the_driver_sees_the_rider_on_the_way_and_not_after(api: Api, photos: FakePhotos) -> None:
    show_photo(photos)
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    ride = a_ride(status=RideStatus.MATCHED, unicorn=TAKEN)
    api.ports.rides.create(ride)
    path = "/v1/fleet/me/rides/ride-1/photo"
    seen = api.call("GET", path, token="driver")
    assert seen.status_code == 200
    assert seen.headers["Cache-Control"] == "no-store"
    assert "rider-1" not in str(seen.json.keys())
    api.ports.rides.create(a_ride(ride_id="ride-2", status=RideStatus.COMPLETED, unicorn=TAKEN))
    ended = api.call("GET", "/v1/fleet/me/rides/ride-2/photo", token="driver")
    assert ended.status_code == 404


def test_an_export_holds_every_ride_a_page_at_a_time(api: Api) -> None:
    for number in range(3):
        api.ports.rides.create(a_ride(ride_id=f"ride-{number}"))
    api.ports.rides.create(a_ride(ride_id="other", rider_id="rider-2"))
    first = api.call("GET", "/v1/me/export?limit=2").json
    assert first["account"]["sub"] == "rider-1"
    rest = api.call("GET", f"/v1/me/export?limit=2&cursor={first['next_cursor']}").json
    exported = {ride["ride_id"] for page in (first, rest) for ride in page["rides"]}
    assert exported == {"ride-0", "ride-1", "ride-2"}
    assert rest["next_cursor"] is None


def test_an_export_names_the_rides_that_cannot_be_read(api: Api) -> None:
    for number in range(3):
        api.ports.rides.create(a_ride(ride_id=f"ride-{number}"))
    api.ports.rides.spoil("ride-1")
    first = api.call("GET", "/v1/me/export?limit=1").json
    assert first["unreadable_rides"] == []
    rest = api.call("GET", f"/v1/me/export?limit=1&cursor={first['next_cursor']}").json
    assert (rest["unreadable_rides"], rest["next_cursor"]) == (["ride-1"], None)


def test_an_account_ends_with_its_rides_photo_and_tokens(
    api: Api, photos: FakePhotos, accounts: FakeAccounts, revocations: FakeRevocations
) -> None:
    show_photo(photos)
    api.ports.rides.create(a_ride(status=RideStatus.COMPLETED))
    api.pass_time(1)
    assert api.call("DELETE", "/v1/me").status_code == 204
    ride = api.ports.rides.get("ride-1")
    assert ride
    assert ride.rider_id != "rider-1"
    assert (photos.shown, photos.get("rider-1")) == ({}, None)
    assert accounts.deleted == ["rider-1"]
    assert api.call("GET", "/v1/me").status_code == 401


def test_an_account_with_an_open_ride_stays_as_it_is(
    api: Api, photos: FakePhotos, accounts: FakeAccounts
) -> None:
    show_photo(photos)
    api.ports.rides.create(a_ride(status=RideStatus.COMPLETED))
    api.ports.rides.create(a_ride(ride_id="ride-2"))
    refused = api.call("DELETE", "/v1/me")
    assert (refused.status_code, refused.json["reason"]) == (409, "open_rides")
    assert accounts.deleted == []
    assert photos.shown
    assert api.ports.rides.get("ride-1").rider_id == "rider-1"  # type: ignore[union-attr]
    assert api.call("GET", "/v1/me").status_code == 200


def test_an_account_that_the_pool_did_not_delete_is_there_to_try_again(
    api: Api, accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_sub: str) -> None:
        raise Unavailable("user pool")

    with monkeypatch.context() as away:
        away.setattr(accounts, "delete", fails)
        assert api.call("DELETE", "/v1/me").status_code == 503
    # The token is refused by now: the rider signs in again.
    now = int(api.clock[0].timestamp()) + 1
    api.pass_time(2)
    a_session(monkeypatch, issued_at=now, auth_time=now)
    assert api.call("DELETE", "/v1/me", token="session").status_code == 204
    assert accounts.deleted == ["rider-1"]


def test_a_sign_out_ends_the_session_and_no_other(
    api: Api, accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_session(monkeypatch, origin_jti="session-1", jti="token-1")
    body = {"refresh_token": "refresh-1"}
    assert api.call("POST", "/v1/me/sign-out", body, token="session").status_code == 204
    assert api.call("GET", "/v1/me", token="session").status_code == 401
    assert accounts.ended == [("refresh-1", "client")]
    a_session(monkeypatch, origin_jti="session-1", jti="renewed")
    assert api.call("GET", "/v1/me", token="session").status_code == 401
    assert api.call("GET", "/v1/me").status_code == 200


def test_a_session_ends_here_even_if_the_pool_does_not_answer(
    api: Api, accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_refresh_token: str, _client_id: str) -> None:
        raise Unavailable("user pool")

    monkeypatch.setattr(accounts, "end_session", fails)
    a_session(monkeypatch, origin_jti="session-1", jti="token-1")
    body = {"refresh_token": "refresh-1"}
    assert api.call("POST", "/v1/me/sign-out", body, token="session").status_code == 503
    assert api.call("GET", "/v1/me", token="session").status_code == 401


def test_the_refresh_token_of_another_app_is_refused_and_the_session_ends(
    api: Api, accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_refresh_token: str, _client_id: str) -> None:
        raise InvalidToken("of another client")

    monkeypatch.setattr(accounts, "end_session", refuses)
    a_session(monkeypatch, origin_jti="session-1", jti="token-1")
    answer = api.call("POST", "/v1/me/sign-out", {"refresh_token": "refresh-1"}, token="session")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "refresh_token"
    assert api.call("GET", "/v1/me", token="session").status_code == 401


def test_a_token_without_a_session_is_signed_out_alone(api: Api) -> None:
    assert api.call("POST", "/v1/me/sign-out").status_code == 204
    assert api.call("GET", "/v1/me").status_code == 401


@pytest.mark.parametrize("scope", ["rides.read", "fleet.drive", "admin"])
def test_the_app_of_any_user_may_ask_who_it_is_and_sign_out(
    api: Api, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    a_session(monkeypatch, jti=scope, scopes=frozenset({f"wildrydes/{scope}"}))
    assert api.call("GET", "/v1/me", token="session").status_code == 200
    assert api.call("POST", "/v1/me/sign-out", token="session").status_code == 204
    assert api.call("GET", "/v1/me", token="session").status_code == 401
