"""Which zones a map has to look into."""

from __future__ import annotations

import random

import pytest

from service.matching.zones import may_touch, zone_of
from service.model import Box, Location

NEW_YORK = Location(40.71, -74.0)


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
