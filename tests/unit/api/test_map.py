"""The map for staff: what it shows, of which area, and its stream of changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.api.staff_views import MapView
from service.auth.errors import AuthUnavailable
from service.core import city_map
from service.model import Location, Pairing, Position
from service.model.errors import Unavailable
from tests.support.api import Api
from tests.support.builders import BATTERY_PARK, CENTRAL_PARK, NOW, a_ride, a_usable_unicorn
from tests.unit.api.test_events import Reader

UNICORN = {
    "unicorn_id": "u1",
    "name": "Shadowfax",
    "color": "White",
    "version": 1,
    "state": "available",
    "accepting": True,
    "ride_id": None,
    "location": {"latitude": 40.7033, "longitude": -74.017},
    "heading": 90.0,
    "position_at": "2026-11-23T02:46:28.123Z",
}
RIDE = {
    "ride_id": "ride-1",
    "version": 1,
    "zone": "852a1073fffffff",
    "pickup": {"latitude": 40.7033, "longitude": -74.017},
    "dropoff": None,
    "requested_at": "2026-11-23T02:46:28.123Z",
    "deadline_at": "2026-11-23T02:49:28.123Z",
    "planned_unicorn_id": "u1",
    "planned_pickup_eta_seconds": 240,
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(city_map, "UPDATE_SECONDS", 0.001)


def put(api: Api, unicorn_id: str, at: Location) -> None:
    api.ports.fleet.refresh(a_usable_unicorn(unicorn_id=unicorn_id), NOW)
    api.ports.fleet.record(unicorn_id, Position(at, NOW, 90.0), NOW)


@pytest.fixture
def city(api: Api) -> Api:
    """A unicorn, and a ride that waits for it."""
    put(api, "u1", BATTERY_PARK)
    ride = a_ride()
    api.ports.waiting.add([ride])
    waiting: Any = api.ports.waiting
    waiting.plans[ride.zone] = {ride.ride_id: Pairing(ride.ride_id, "u1", 240, 1540)}
    return api


def shown(api: Api, query: str = "") -> Any:
    answer = api.call("GET", f"/v1/admin/map{query}", token="admin")
    assert answer.status_code == 200, answer.json
    return answer.json


def test_the_map_shows_unicorns_and_waiting_rides(city: Api) -> None:
    map_ = shown(city)
    assert map_ == {
        "as_of": "2026-11-23T02:46:28.123Z",
        "event_id": str(city_map.event_id(NOW)),
        "truncated": False,
        "unicorns": [UNICORN],
        "waiting_rides": [RIDE],
    }
    assert MapView.model_validate_json(city.call("GET", "/v1/admin/map", token="admin").data)


@pytest.mark.parametrize(
    ("bbox", "found"),
    [
        ("-74.02,40.70,-74.01,40.71", ["u1"]),
        ("-74.01,40.70,-73.9,40.71", []),
        ("170,-90,-170,90", ["u2"]),
        ("-180,-90,180,90", ["u1", "u2"]),
        ("-74.017,40.7033,-74.017,40.7033", ["u1"]),
    ],
)
def test_the_map_shows_one_area(city: Api, bbox: str, found: list[str]) -> None:
    put(city, "u2", Location(-17.0, -179.9))
    area = shown(city, f"?bbox={bbox}")
    assert [unicorn["unicorn_id"] for unicorn in area["unicorns"]] == found
    assert len(area["waiting_rides"]) == ("u1" in found)


@pytest.mark.parametrize(
    "bbox",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        "0,1,1,0",
        "-181,0,0,1",
        "0,0,0,91",
        "nan,0,1,1",
        "0,0,1e1,1",
        " 0,0,1,1",
        "0,0,1,1&bbox=0,0,1,1",
    ],
)
def test_a_bad_area_is_422(city: Api, bbox: str) -> None:
    assert city.call("GET", f"/v1/admin/map?bbox={bbox}", token="admin").status_code == 422


def test_waiting_rides_are_listed_oldest_first(city: Api) -> None:
    for minutes in (1, 3, 2):
        requested_at = NOW - timedelta(minutes=minutes)
        city.ports.waiting.add([a_ride(ride_id=f"ride-{minutes}0", requested_at=requested_at)])
    answer = city.call("GET", "/v1/admin/waiting-rides?limit=3", token="admin").json
    assert [ride["ride_id"] for ride in answer["rides"]] == ["ride-30", "ride-20", "ride-10"]
    assert answer["next_cursor"] is None
    everything = city.call("GET", "/v1/admin/waiting-rides", token="admin").json["rides"]
    assert everything[-1] == RIDE


def test_without_redis_there_is_no_map(city: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Unavailable("Redis: ConnectionError")

    monkeypatch.setattr(city.app.extensions["dispatch"].oversight.city, "unicorns", away)
    for path in ("map", "events"):
        answer = city.call("GET", f"/v1/admin/{path}", token="admin")
        assert (answer.status_code, answer.json["reason"]) == (503, "unavailable")


def follow(api: Api, last: str | None = None) -> Reader:
    sent = {"Last-Event-ID": last} if last else {}
    answer: TestResponse = api.call("GET", "/v1/admin/events", token="admin", headers=sent)
    return Reader(answer)


def test_a_stream_begins_with_the_whole_map_and_goes_on_with_changes(city: Api) -> None:
    map_ = shown(city)
    stream = follow(city)
    assert stream.next() == ("snapshot", map_["event_id"], map_)
    city.pass_time(1)
    put(city, "u2", CENTRAL_PARK)
    city.ports.waiting.discard(RIDE["zone"], ["ride-1"])
    name, number, changes = stream.next()
    assert (name, number) == ("changes", str(city_map.event_id(NOW + timedelta(seconds=1))))
    assert changes["as_of"] == "2026-11-23T02:46:29.123Z"
    assert [unicorn["unicorn_id"] for unicorn in changes["unicorns"]] == ["u2"]
    assert (changes["gone_unicorns"], changes["waiting_rides"]) == ([], [])
    assert changes["gone_rides"] == ["ride-1"]


def test_a_stream_is_taken_up_again_where_it_was_left(city: Api) -> None:
    first = follow(city)
    first.next()
    for seconds, name in ((5, "u2"), (5, "u3")):
        city.pass_time(seconds)
        put(city, name, CENTRAL_PARK)
        _, number, _ = first.next()
    city.pass_time(5)
    put(city, "u4", CENTRAL_PARK)
    name, _, changes = follow(city, number).next()
    assert name == "changes"
    assert [unicorn["unicorn_id"] for unicorn in changes["unicorns"]] == ["u3", "u4"]


@pytest.mark.parametrize("last", ["1", "99999999999999", "bogus"])
def test_an_id_that_no_event_had_lately_is_answered_by_the_whole_map(city: Api, last: str) -> None:
    assert follow(city, last).next()[0] == "snapshot"


def test_a_stream_ends_without_an_event_while_revocations_are_unknown(
    city: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsure(*_: object) -> None:
        raise AuthUnavailable("revocations")

    stream = follow(city)
    stream.next()
    check = type(city.app.extensions["dispatch"].revoked)
    monkeypatch.setattr(check, "check", unsure)
    with pytest.raises(StopIteration):
        stream.next()


def test_statistics_tell_the_hour_and_its_minutes(city: Api) -> None:
    statistics = city.app.extensions["dispatch"].oversight.statistics
    for seconds in (1.0, 2.0, 7.0):
        statistics.matched(seconds, NOW)
    statistics.counted(21, 52, NOW)
    told = city.call("GET", "/v1/admin/statistics", token="admin").json
    numbers = {
        "matches": 3,
        "time_to_match_mean_seconds": 3.333,
        "time_to_match_p50_seconds": 1.5,
        "time_to_match_p90_seconds": 6.75,
        "busy_share": 0.404,
    }
    minutes = told.pop("minutes")
    assert told == {"since": "2026-11-23T01:47:00.000Z", **numbers}
    assert len(minutes) == 60
    assert minutes[-1] == {"at": "2026-11-23T02:46:00.000Z", "busy": 21, "on_duty": 52, **numbers}
    assert minutes[0] == {
        "at": "2026-11-23T01:47:00.000Z",
        **dict.fromkeys(("busy", "on_duty", *numbers)),
        "matches": 0,
    }
