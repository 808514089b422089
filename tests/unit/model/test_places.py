"""What a place on earth is."""

from __future__ import annotations

import math

import pytest

from service.model import Location


@pytest.mark.parametrize("at", [(-90, -180), (90, 180), (-90, 180), (90, -180), (0, 0)])
def test_the_ends_of_the_world_are_places(at: tuple[float, float]) -> None:
    assert (Location(*at).latitude, Location(*at).longitude) == at


@pytest.mark.parametrize(
    "at", [(-90.001, 0), (90.001, 0), (0, -180.001), (0, 180.001), (math.nan, 0), (0, math.inf)]
)
def test_what_lies_beyond_is_none(at: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not a place"):
        Location(*at)


def test_a_place_is_blurred_to_a_kilometre_or_as_many_decimals_as_asked() -> None:
    assert Location(40.71346, -74.00654).blurred() == Location(40.71, -74.01)
    assert Location(40.71346, -74.00654).blurred(3) == Location(40.713, -74.007)
