"""A rider's app cannot find out where a standing unicorn is, neither by one answer nor by many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from service.matching.travel import GreatCircle, seconds_between
from service.model import Location, Position
from tests.support.api import Api, build_api
from tests.support.builders import NOW, a_usable_unicorn

CORNER = Location(40.71346, -74.00654)
"""Of a cell of a thousandth of a degree, about as far from its centre as can be."""
CELL = 0.001
CIRCLE = GreatCircle()


def a_city_with_a_unicorn_at(place: Location) -> Api:
    api = build_api(rate_limit_enabled=False)
    unicorn = a_usable_unicorn()
    api.ports.unicorns.create(unicorn)
    api.ports.fleet.refresh(unicorn, NOW)
    api.ports.fleet.record(unicorn.unicorn_id, Position(place, NOW), NOW)
    return api


def estimate(api: Api, pickup: Location) -> Any:
    body = {"pickup": {"latitude": pickup.latitude, "longitude": pickup.longitude}}
    return api.call("POST", "/v1/estimates", body).json


def nearby(api: Api, place: Location) -> Any:
    query = f"latitude={place.latitude}&longitude={place.longitude}"
    return api.call("GET", f"/v1/unicorns/nearby?{query}").json["unicorns"]


def around(place: Location, metres: float, count: int) -> list[Location]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [
        Location(
            place.latitude + metres * np.cos(angle) / 111_195,
            place.longitude + metres * np.sin(angle) / 111_195 / np.cos(np.radians(place.latitude)),
        )
        for angle in angles
    ]


def metres_off(found: Location, place: Location = CORNER) -> float:
    return CIRCLE.crow_metres(found, place)


def test_many_arrival_times_lead_to_the_middle_of_a_cell_only() -> None:
    api = a_city_with_a_unicorn_at(CORNER)
    pickups = [p for metres in (300, 900, 1500) for p in around(CORNER, metres, 20)]
    told = np.array([estimate(api, pickup)["pickup_eta_seconds"] for pickup in pickups])

    def errors(guess: np.ndarray) -> np.ndarray:
        place = Location(*guess)
        return np.array([seconds_between(CIRCLE, place, each) for each in pickups]) - told

    guess = least_squares(errors, [40.71, -74.0], x_scale=1e-4).x
    assert metres_off(Location(*guess)) > 40


def reach_towards(api: Api, direction: Location, seen: Any) -> Location:
    """Where, on the way from the unicorn towards a place, it is just about to be seen no more."""
    near, far = 0.0, 1.0
    for _ in range(30):
        middle = (near + far) / 2
        near, far = (
            (middle, far) if seen(api, between(CORNER, direction, middle)) else (near, middle)
        )
    return between(CORNER, direction, near)


def between(start: Location, end: Location, share: float) -> Location:
    return Location(
        start.latitude + share * (end.latitude - start.latitude),
        start.longitude + share * (end.longitude - start.longitude),
    )


@pytest.mark.parametrize(
    "seen",
    [
        lambda api, at: estimate(api, at)["available_nearby"],
        lambda api, at: estimate(api, at)["pickup_eta_seconds"] is not None,
        lambda api, at: len(nearby(api, at)),
    ],
    ids=["counted", "expected", "shown"],
)
def test_the_edge_of_the_reach_leads_to_the_middle_of_a_cell_only(seen: Any) -> None:
    api = a_city_with_a_unicorn_at(CORNER)
    edge = [reach_towards(api, towards, seen) for towards in around(CORNER, 4000, 12)]

    def errors(guess: np.ndarray) -> np.ndarray:
        distances = np.array([metres_off(Location(*guess[:2]), at) for at in edge])
        return distances - guess[2] * 1000

    guess = least_squares(errors, [40.71, -74.0, 2.0], x_scale=[1e-4, 1e-4, 1e-2]).x
    assert metres_off(Location(*guess[:2])) > 40


@settings(max_examples=60)
@given(
    inside=st.tuples(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49)),
    pickup=st.tuples(st.floats(-0.03, 0.03), st.floats(-0.04, 0.04)),
)
def test_two_places_of_one_cell_give_the_same_answers(
    inside: tuple[float, float], pickup: tuple[float, float]
) -> None:
    here = a_city_with_a_unicorn_at(Location(40.713, -74.006))
    there = a_city_with_a_unicorn_at(
        Location(40.713 + inside[0] * CELL, -74.006 + inside[1] * CELL)
    )
    at = Location(40.713 + pickup[0], -74.006 + pickup[1])
    assert estimate(here, at) == estimate(there, at)
    assert nearby(here, at) == nearby(there, at)
