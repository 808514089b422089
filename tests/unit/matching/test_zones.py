"""Zones, and which of them a circle or a box touches."""

from __future__ import annotations

import math
import random

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.matching.travel import GreatCircle
from service.matching.zones import RESOLUTION, may_touch, zone_of, zones_within
from service.model import Box, Location

NEW_YORK = Location(40.71, -74.0)
TRAVEL = GreatCircle()
EARTH_RADIUS = 6_371_008.8
anywhere = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))
reaches = st.sampled_from([0.0, 500.0, 2250.0, 20_000.0, 120_000.0])


def moved(start: Location, bearing: float, metres: float) -> Location:
    """The end of a great circle of this length."""
    south, angle = math.radians(start.latitude), metres / EARTH_RADIUS
    north = math.asin(
        math.sin(south) * math.cos(angle) + math.cos(south) * math.sin(angle) * math.cos(bearing)
    )
    east = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(south),
        math.cos(angle) - math.sin(south) * math.sin(north),
    )
    longitude = (start.longitude + math.degrees(east) + 180) % 360 - 180
    return Location(math.degrees(north), longitude)


@given(anywhere, st.floats(0, 2 * math.pi), st.floats(0, 1), reaches)
def test_every_place_within_reach_lies_in_one_of_the_zones(
    location: Location, bearing: float, share: float, reach: float
) -> None:
    place = moved(location, bearing, share * reach)
    assert zone_of(place) in zones_within(location, reach)


@given(
    anywhere, st.floats(0, 2 * math.pi), st.floats(0.95, 1), reaches.filter(bool), st.integers(0, 4)
)
def test_a_zone_is_within_reach_of_every_place_that_near_to_its_corners(
    somewhere: Location, bearing: float, share: float, reach: float, number: int
) -> None:
    zone = zone_of(somewhere)
    corner = Location(*h3.cell_to_boundary(zone)[number])
    assert zone in zones_within(moved(corner, bearing, share * reach), reach)


@given(anywhere, st.floats(1000, 15_000))
def test_only_zones_that_the_circle_cuts_are_named(location: Location, reach: float) -> None:
    circle = (moved(location, math.radians(degree), reach * 1.02 + 100) for degree in range(360))
    assert zones_within(location, reach) <= {zone_of(location), *map(zone_of, circle)}


def test_a_place_deep_inside_a_zone_touches_no_other() -> None:
    middle = Location(*h3.cell_to_latlng(zone_of(Location(40.7128, -74.0060))))
    assert zones_within(middle, 2250) == {zone_of(middle)}


def test_a_corner_touches_three_zones() -> None:
    corner = Location(*h3.cell_to_boundary(zone_of(Location(40.7128, -74.0060)))[0])
    assert len(zones_within(corner, 100)) == 3


@pytest.mark.parametrize("location", [Location(90, 0), Location(-90, 12), Location(0, 180)])
def test_poles_and_date_line_have_zones(location: Location) -> None:
    assert h3.get_resolution(zone_of(location)) == RESOLUTION
    assert zone_of(location) in zones_within(location, 2250)


def test_both_names_of_the_date_line_and_of_a_pole_are_one_zone() -> None:
    assert zone_of(Location(10, 180)) == zone_of(Location(10, -180))
    assert zone_of(Location(90, 0)) == zone_of(Location(90, 77))


@pytest.mark.parametrize("latitude", [-90.0, -70.0, 0.0, 40.7, 89.9])
@pytest.mark.parametrize("longitude", [-180.0, -74.0, 0.0, 179.99])
def test_no_zone_with_a_place_in_the_box_is_left_out(latitude: float, longitude: float) -> None:
    dice = random.Random(7)
    east = longitude + 0.2 if longitude < 179 else -179.9
    box = Box(longitude, max(-90, latitude - 0.1), east, min(90, latitude + 0.1))
    for _ in range(200):
        at = Location(
            dice.uniform(box.south, box.north), (longitude + dice.uniform(0, 0.1) + 180) % 360 - 180
        )
        assert box.contains(at)
        assert may_touch(zone_of(at), box)


def test_zones_far_away_are_left_out() -> None:
    assert not may_touch(zone_of(Location(51.5, -0.1)), Box(-75, 40, -73, 41))
    assert not may_touch(zone_of(NEW_YORK), Box(-70, 40, -69, 41))
    assert may_touch(zone_of(NEW_YORK), Box(-74.01, 40.70, -74.0, 40.72))
