"""A request that waited is judged again when it wakes up: token, account and ownership."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.api.app import route_map
from service.core.watch import Wait, wait_for_ride
from service.http.gate import POLLS_PER_SUBJECT
from service.model import Ride, RideStatus
from service.model.errors import Unavailable
from tests.support.api import PRINCIPALS, Api, a_principal, build_api
from tests.support.builders import NOW, a_ride, a_unicorn
from tests.support.fakes import FakeRides, FakeUnicorns
from tests.support.fakes_oversight import FakeRevocations
from tests.unit.api.conftest import WhileWaiting

POINT = {"latitude": 40.71, "longitude": -73.95}
WAITING = {
    "POST /v1/rides": ("rider", {"pickup": POINT}),
    "GET /v1/rides/ride-1": ("rider", None),
    "GET /v1/fleet/me": ("driver", None),
    "POST /ride": ("rider", {"PickupLocation": {"Latitude": 40.71, "Longitude": -73.95}}),
}


@pytest.fixture
def revocations() -> FakeRevocations:
    return FakeRevocations()


@pytest.fixture
def api(revocations: FakeRevocations) -> Api:
    api = build_api(revocations=revocations)
    api.ports.rides.create(a_ride())
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    return api


def ask(api: Api, route: str) -> Any:
    (method, path), (token, body) = route.split(), WAITING[route]
    return api.call(method, path, body, token=token, headers={"Prefer": "wait=5"})


def test_the_table_names_every_route_that_waits() -> None:
    declared = {
        f"{route.method} {route.rule.replace('<ride_id>', 'ride-1')}"
        for route in route_map().declared.values()
        if "Prefer" in route.headers
    }
    assert declared | {"POST /ride"} == set(WAITING)


def revoke(api: Api, revocations: FakeRevocations) -> None:
    revocations.put("jti", "jti", revoked_at=NOW, expires_at=NOW + timedelta(days=1))
    api.pass_time(6)


def expire_in(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    expires = int(NOW.timestamp()) + seconds
    for name, groups in (("rider", frozenset[str]()), ("driver", frozenset({"unicorns"}))):
        changed = a_principal(PRINCIPALS[name].subject, groups=groups, expires_at=expires)
        monkeypatch.setitem(PRINCIPALS, name, changed)


@pytest.fixture(params=["expires", "is revoked"])
def end_the_token(
    request: pytest.FixtureRequest,
    api: Api,
    revocations: FakeRevocations,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], None]:
    if request.param == "is revoked":
        return lambda: revoke(api, revocations)
    expire_in(monkeypatch, 60)
    return lambda: api.pass_time(61)


@pytest.mark.parametrize("route", [route for route in WAITING if route.startswith("GET")])
def test_a_token_that_ends_during_the_wait_is_shown_nothing(
    api: Api, while_waiting: WhileWaiting, end_the_token: Callable[[], None], route: str
) -> None:
    while_waiting(end_the_token)
    answer = ask(api, route)
    assert (answer.status_code, answer.json["reason"]) == (401, "invalid_token")


def test_a_token_that_ends_while_the_body_arrives_does_nothing(
    api: Api, end_the_token: Callable[[], None]
) -> None:
    """Otherwise an account could be deleted and afterwards get a ride, by one slow socket."""

    class SlowBody(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            end_the_token()
            return super().readinto(buffer)

    answer = api.app.test_client().post(
        "/v1/rides",
        headers={"Authorization": "Bearer rider", "Content-Type": "application/json"},
        input_stream=SlowBody(json.dumps({"pickup": POINT}).encode()),
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert (answer.status_code, answer.json["reason"]) == (401, "invalid_token")
    page = api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None)
    assert [ride.ride_id for ride in page.items] == ["ride-1"]


def the_requested_ride(api: Api) -> Ride:
    rides = api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None).items
    [ride] = [ride for ride in rides if ride.ride_id != "ride-1"]
    return ride


def match(api: Api) -> None:
    api.match(the_requested_ride(api), unicorn_id="u2")


def test_a_ride_is_answered_as_it_was_accepted_if_the_token_ends_during_the_wait(
    api: Api, while_waiting: WhileWaiting, end_the_token: Callable[[], None]
) -> None:
    while_waiting(lambda: (match(api), end_the_token()))
    answer = ask(api, "POST /v1/rides")
    assert answer.status_code == 202, "a client repeats what was refused: a second ride"
    assert answer.json["ride_id"] == the_requested_ride(api).ride_id
    assert (answer.json["status"], answer.json["unicorn"]) == ("requested", None)


def test_the_workshops_ride_is_canceled_if_the_token_ends_during_the_wait(
    api: Api, while_waiting: WhileWaiting, end_the_token: Callable[[], None]
) -> None:
    while_waiting(lambda: (match(api), end_the_token()))
    answer = ask(api, "POST /ride")
    assert (answer.status_code, set(answer.json)) == (503, {"Error", "Reference"})
    assert the_requested_ride(api).status is RideStatus.CANCELED, "its page can only ask again"
    unicorn = api.ports.unicorns.get("u2")
    assert unicorn
    assert unicorn.ride_id is None


def test_a_requested_ride_is_not_refused_because_revocations_are_unknown_after_the_wait(
    api: Api, while_waiting: WhileWaiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lookup(*_: object) -> None:
        raise Unavailable("DynamoDB is away")

    def lose_the_store() -> None:
        monkeypatch.setattr(FakeRevocations, "lookup", lookup)
        api.pass_time(6)

    while_waiting(lose_the_store)
    assert ask(api, "POST /v1/rides").status_code == 202


def test_a_ride_that_is_no_longer_the_riders_is_not_shown(
    api: Api, while_waiting: WhileWaiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    erased = replace(a_ride(), rider_id="erased", version=2)
    while_waiting(lambda: monkeypatch.setattr(FakeRides, "get", lambda *_: erased))
    assert ask(api, "GET /v1/rides/ride-1").status_code == 404


@pytest.mark.parametrize("left", [None, a_unicorn(account_sub="driver-2", version=2)])
def test_a_unicorn_that_the_account_no_longer_drives_is_not_shown(
    api: Api, while_waiting: WhileWaiting, monkeypatch: pytest.MonkeyPatch, left: Any
) -> None:
    while_waiting(lambda: monkeypatch.setattr(FakeUnicorns, "get", lambda *_: left))
    assert ask(api, "GET /v1/fleet/me").status_code == 404


def test_a_wait_that_was_ended_reads_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ride, wait, reads = a_ride(), Wait(), []
    get = FakeRides.get

    def count(rides: FakeRides, ride_id: str) -> Ride | None:
        reads.append(ride_id)
        wait.end("gone")
        return get(rides, ride_id)

    monkeypatch.setattr(FakeRides, "get", count)
    waited = wait_for_ride(api.ports, ride, lambda _: False, 30, lambda: 0.0, wait)
    assert (waited, len(reads)) == (ride, 1)


def test_more_polls_of_one_caller_than_allowed_are_answered_at_once(
    api: Api, while_waiting: WhileWaiting
) -> None:
    asked = 0

    def ask_once_more() -> None:
        nonlocal asked
        asked += 1
        assert asked <= POLLS_PER_SUBJECT
        ask(api, "GET /v1/rides/ride-1")

    while_waiting(ask_once_more)
    ask(api, "GET /v1/rides/ride-1")
    assert asked == POLLS_PER_SUBJECT, "the last of them did not wait"
