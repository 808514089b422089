"""The workshop's page: its words, its bare token, its ID token, and nothing beyond its routes."""

from __future__ import annotations

from typing import Any

import pytest

from service.auth.errors import InvalidToken
from service.auth.principal import Principal
from service.http.context import SilentClient
from service.model import Ride, RideStatus, UnicornState
from tests.support.api import PRINCIPALS, Api, a_principal, build_api
from tests.support.builders import a_ride
from tests.unit.api.conftest import WhileWaiting

BODY = {"PickupLocation": {"Latitude": 40.71, "Longitude": -73.95}}
BARE = "aaaa.bbbb.cccc"


def the_ride(api: Api) -> Ride:
    [ride] = api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None).items
    return ride


def test_a_ride_is_answered_with_its_unicorn(api: Api, while_waiting: WhileWaiting) -> None:
    while_waiting(lambda: api.match(the_ride(api)))
    answer = api.call("POST", "/ride", BODY)
    ride = the_ride(api)
    assert answer.status_code == 201
    assert answer.json == {
        "RideId": ride.ride_id,
        "Unicorn": {"Name": "Shadowfax", "Color": "White", "Gender": "Male"},
        "UnicornName": "Shadowfax",
        "Eta": ride.pickup_eta_seconds,
        "Rider": "rider-1",
    }
    assert api.call("GET", "/ride").json == [
        {
            "RideId": ride.ride_id,
            "RequestTime": "2026-11-23T02:46:28.123Z",
            "Unicorn": {"Name": "Shadowfax", "Color": "White", "Gender": "Male"},
            "UnicornName": "Shadowfax",
            "User": "rider-1",
        }
    ]
    assert api.call("GET", "/ride", token="other").json == []


def test_a_ride_without_a_unicorn_in_time_is_canceled(api: Api) -> None:
    answer = api.call("POST", "/ride", BODY, headers={"X-Request-Id": "r1"})
    assert answer.status_code == 503
    assert answer.json == {"Error": "No unicorn is available.", "Reference": "r1"}
    assert answer.headers["Retry-After"] == "1"
    ride = the_ride(api)
    assert (ride.status, ride.cancel_reason) == (RideStatus.CANCELED, "no unicorn in time")
    assert api.call("GET", "/ride").json == []


def test_a_match_in_the_last_moment_is_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    save = type(api.ports.rides).save

    def save_too_late(rides: Any, before: Ride, after: Ride) -> None:
        monkeypatch.undo()
        api.match(the_ride(api))
        save(rides, before, after)

    monkeypatch.setattr(type(api.ports.rides), "save", save_too_late)
    answer = api.call("POST", "/ride", BODY)
    assert (answer.status_code, answer.json["UnicornName"]) == (201, "Shadowfax")
    assert the_ride(api).status is RideStatus.MATCHED


def test_an_offer_that_nobody_took_in_time_is_taken_back(
    api: Api, while_waiting: WhileWaiting
) -> None:
    def offer() -> None:
        api.match(the_ride(api), auto_accept=False)

    while_waiting(offer)
    assert api.call("POST", "/ride", BODY).status_code == 503
    unicorn = api.ports.unicorns.get("u1")
    assert unicorn
    assert unicorn.state is UnicornState.AVAILABLE


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"PickupLocation": {}},
        {"PickupLocation": {"latitude": 1, "longitude": 2}},
        {"PickupLocation": {"Latitude": "1", "Longitude": 2}},
        {"PickupLocation": {"Latitude": 91, "Longitude": 2}},
        {**BODY, "Note": "x"},
    ],
)
def test_another_body_is_refused(api: Api, body: Any) -> None:
    assert api.call("POST", "/ride", body).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/ride", BODY, 503),
        ("GET", "/ride", None, 200),
        ("GET", "/v1/rides", None, 401),
        ("POST", "/v1/rides", None, 401),
    ],
)
def test_only_the_workshops_routes_take_a_token_without_scheme_word(
    api: Api, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any, status: int
) -> None:
    monkeypatch.setitem(PRINCIPALS, BARE, PRINCIPALS["rider"])
    bare = {"Authorization": BARE}
    answer = api.call(method, path, body, token=None, headers=bare)
    assert answer.status_code == status


class IdTokens:
    """A verifier that also knows the ID token `i`."""

    def verify(self, token: str, now: float) -> Principal:
        if token not in {"i", "rider"}:
            raise InvalidToken("unknown")
        return PRINCIPALS["rider"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [("POST", "/ride", BODY, 503), ("GET", "/ride", None, 401), ("GET", "/v1/rides", None, 401)],
)
def test_only_a_request_of_a_ride_takes_id_tokens(
    method: str, path: str, body: Any, status: int
) -> None:
    api = build_api(id_tokens=IdTokens())
    assert api.call(method, path, body, token="i").status_code == status
    assert api.call(method, path, body, token="rider").status_code != 401


def test_without_the_setting_no_id_token_is_taken(api: Api) -> None:
    assert api.call("POST", "/ride", BODY, token="i").status_code == 401


def test_without_room_to_wait_no_ride_is_requested() -> None:
    api = build_api(api_max_waiters=1)
    with api.app.extensions["gate"].streaming(SilentClient()):
        assert api.call("POST", "/ride", BODY).json["Error"]
    assert not api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None).items


def a_manager(**changes: Any) -> Principal:
    """Who signed in at the second page, which asks for one scope."""
    return a_principal("driver-1", scopes=frozenset({"UnicornManager/unicorn"}), **changes)


def test_the_second_page_lists_the_rides_of_the_callers_unicorn(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRINCIPALS, BARE, a_manager())
    for name, sub in (("u1", "driver-1"), ("u2", "driver-2")):
        ride = a_ride(ride_id=f"ride-of-{name}")
        api.ports.rides.create(ride)
        api.match(ride, unicorn_id=name, account_sub=sub)
    answer = api.call("GET", "/ride", token=None, headers={"Authorization": BARE})
    assert answer.json == [
        {
            "RideId": "ride-of-u1",
            "RequestTime": "2026-11-23T02:46:28.123Z",
            "Unicorn": {"Name": "Shadowfax", "Color": "White", "Gender": "Male"},
            "UnicornName": "Shadowfax",
            "User": "rider-1",
        }
    ]


def test_the_second_page_shows_no_ride_that_was_only_offered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRINCIPALS, "manager", a_manager())
    ride = a_ride()
    api.ports.rides.create(ride)
    api.match(ride, account_sub="driver-1", auto_accept=False)
    assert api.call("GET", "/ride", token="manager").json == []


def test_an_account_without_a_unicorn_has_no_rides_at_the_second_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRINCIPALS, "manager", a_manager())
    answer = api.call("GET", "/ride", token="manager")
    assert (answer.status_code, answer.json) == (200, [])
