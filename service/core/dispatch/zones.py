"""Dispatch zones: H3 cells the size of a city.

Resolution 4 (edge about 23 km, 1,770 km²): one round sees a whole city, so that few rides lie on a
border, and cities do not wait for each other.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import h3

from service.core.model import Location

RESOLUTION: Final = 4
METRES_PER_DEGREE: Final = 111_195.0
BEARINGS: Final = tuple(math.radians(degrees) for degrees in range(0, 360, 30))


def zone_of(location: Location) -> str:
    """The zone that holds the location."""
    return str(h3.latlng_to_cell(location.latitude, location.longitude, RESOLUTION))


def zones_within(location: Location, reach_metres: float) -> frozenset[str]:
    """The location's own zone and those whose area begins within `reach_metres` of it.

    Looks at twelve points on the circle: exact but for corners that poke less than 4 % of the
    reach into it.
    """
    return _zones_within(round(location.latitude, 4), round(location.longitude, 4), reach_metres)


@lru_cache(maxsize=65_536)
def _zones_within(latitude: float, longitude: float, reach_metres: float) -> frozenset[str]:
    reach = reach_metres / METRES_PER_DEGREE
    shrink = max(0.01, math.cos(math.radians(latitude)))
    rim = (
        (latitude + reach * math.cos(bearing), longitude + reach * math.sin(bearing) / shrink)
        for bearing in BEARINGS
    )
    cells = [h3.latlng_to_cell(lat, lng, RESOLUTION) for lat, lng in rim]
    return frozenset([h3.latlng_to_cell(latitude, longitude, RESOLUTION), *cells])
