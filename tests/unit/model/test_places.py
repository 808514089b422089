"""Locations within their bounds, blurred locations, and boxes."""

from __future__ import annotations

import math

import pytest

from service.model import WORLD, Box, Location


@pytest.mark.parametrize("at", [(-90, -180), (90, 180), (-90, 180), (90, -180), (0, 0)])
def test_the_ends_of_the_world_are_places(at: tuple[float, float]) -> None:
    assert (Location(*at).latitude, Location(*at).longitude) == at


@pytest.mark.parametrize(
    "at", [(-90.001, 0), (90.001, 0), (0, -180.001), (0, 180.001), (math.nan, 0), (0, math.inf)]
)
def test_coordinates_beyond_the_ends_are_refused(at: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not a place"):
        Location(*at)


def test_a_place_is_blurred_to_a_kilometre_or_as_many_decimals_as_asked() -> None:
    assert Location(40.71346, -74.00654).blurred() == Location(40.71, -74.01)
    assert Location(40.71346, -74.00654).blurred(3) == Location(40.713, -74.007)


@pytest.mark.parametrize(
    ("box", "at", "is_inside"),
    [
        (Box(-74, 40, -73, 41), (40.5, -73.5), True),
        (Box(-74, 40, -73, 41), (40.5, -72.9), False),
        (Box(-74, 40, -73, 41), (41.1, -73.5), False),
        (Box(-74, 40, -73, 41), (40, -74), True),
        (Box(170, -10, -170, 10), (0, 180), True),
        (Box(170, -10, -170, 10), (0, -175), True),
        (Box(170, -10, -170, 10), (0, 0), False),
        (Box(170, -10, 180, 10), (0, -180), True),
        (Box(-74, 40, -74, 40), (40, -74), True),
        (WORLD, (90, 180), True),
        (WORLD, (-90, -180), True),
    ],
)
def test_a_box_contains_the_places_between_its_sides(
    box: Box, at: tuple[float, float], is_inside: bool
) -> None:
    assert box.contains(Location(*at)) is is_inside
