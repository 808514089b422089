"""What a rider may expect before asking for a ride."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.matching.travel import GreatCircle, seconds_between
from service.model import Location, Position, Trip, UnicornState
from tests.support.api import Api, build_api
from tests.support.builders import NOW, a_usable_unicorn

PICKUP = {"latitude": 40.7128, "longitude": -74.006}
DROPOFF = {"latitude": 40.7589, "longitude": -73.9851}


@pytest.fixture
def api() -> Api:
    return build_api()


def on_duty(api: Api, unicorn_id: str, at: Location, **changes: Any) -> None:
    unicorn = a_usable_unicorn(unicorn_id=unicorn_id, **changes)
    api.ports.unicorns.create(unicorn)
    api.ports.fleet.refresh(unicorn, NOW)
    api.ports.fleet.record(unicorn_id, Position(at, NOW), NOW)


def estimate(api: Api, **body: Any) -> Any:
    answer = api.call("POST", "/v1/estimates", {"pickup": PICKUP, **body}, token="rider")
    assert answer.status_code == 200
    return answer.json


def nearby(api: Api, latitude: object = 40.7128, longitude: object = -74.006) -> Any:
    path = f"/v1/unicorns/nearby?latitude={latitude}&longitude={longitude}"
    return api.call("GET", path, token="rider")


def test_an_estimate_is_what_dispatch_would_expect(api: Api) -> None:
    on_duty(api, "u1", Location(40.713, -74.016))
    on_duty(api, "u2", Location(40.713, -74.026))
    told = estimate(api, dropoff=DROPOFF)
    here, there = Location(**PICKUP), Location(**DROPOFF)
    travel = GreatCircle()
    to_pickup = seconds_between(travel, Location(40.713, -74.016), here)
    assert told["pickup_eta_seconds"] == round(to_pickup)
    assert told["trip_seconds"] == round(seconds_between(travel, here, there))
    assert told["trip_metres"] > travel.crow_metres(here, there)
    assert told["available_nearby"] == 2


def test_an_unknown_estimate_is_null(api: Api) -> None:
    assert estimate(api) == {
        "pickup_eta_seconds": None,
        "pickup_eta_latest_seconds": None,
        "trip_seconds": None,
        "trip_latest_seconds": None,
        "trip_metres": None,
        "available_nearby": 0,
    }


def test_unicorns_out_of_reach_away_busy_or_off_duty_do_not_count(api: Api) -> None:
    on_duty(api, "far", Location(40.80, -74.006))
    trip = Trip(Location(**PICKUP), Location(**PICKUP))
    on_duty(api, "busy", Location(**PICKUP), state=UnicornState.RESERVED, ride_id="r1", trip=trip)
    on_duty(api, "off", Location(**PICKUP), accepting=False)
    assert estimate(api)["available_nearby"] == 0
    on_duty(api, "silent", Location(**PICKUP))
    api.clock[0] = NOW + timedelta(seconds=61)
    assert estimate(api)["available_nearby"] == 0


def test_nearby_shows_twenty_at_most_and_no_more_of_them_than_riders_need(api: Api) -> None:
    for number in range(25):
        on_duty(api, f"u{number:02}", Location(40.7128, -74.006 + number / 10_000))
    unicorns = nearby(api).json["unicorns"]
    assert len(unicorns) == 20
    assert all(unicorn.keys() == {"name", "color", "location"} for unicorn in unicorns)
    assert unicorns[0]["location"] == {"latitude": 40.713, "longitude": -74.006}


@pytest.mark.parametrize("place", [(90, 0), (-90, 12), (85.06, 10), (0, 180), (0, -180)])
def test_the_ends_of_the_world_are_empty_places(api: Api, place: tuple[float, float]) -> None:
    answer = nearby(api, *place)
    assert (answer.status_code, answer.json) == (200, {"unicorns": []})


@pytest.mark.parametrize("place", [("91", "0"), ("0", "181"), ("nan", "0"), ("", "0"), ("x", "0")])
def test_an_invalid_place_is_named_by_its_field(api: Api, place: tuple[str, str]) -> None:
    answer = nearby(api, *place)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json["errors"]] == [
        "longitude" if place[1] == "181" else "latitude"
    ]
