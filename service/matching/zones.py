"""Dispatch zones: H3 cells the size of a city.

Resolution 3 (edges of some 69 km, 12,400 km²): one round sees a whole city with its suburbs, so
that few rides lie near a border, and cities do not wait for each other. A border of resolution 4
cuts Manhattan; two rounds then plan the same unicorns and serve fewer riders. See
h3geo.org/docs/core-library/restable.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import h3
import numpy as np

from service.matching.travel import FloatArray, IntArray, chord, on_sphere
from service.model import Box, Location

RESOLUTION: Final = 3

_SPELLING: Final = re.compile("[0-9a-f]{15}")

GENEROUS: Final = 1.001
"""A factor of the reach. It covers what straight lines on the sphere neglect, so that the result
may have too many zones, but never too few."""


@lru_cache(4096)  # recording one position computes the same zone several times
def zone_of(location: Location) -> str:
    """The zone that holds the location."""
    return str(h3.latlng_to_cell(location.latitude, location.longitude, RESOLUTION))


def is_zone(text: str) -> bool:
    """Whether the text names a zone, spelled as `zone_of` writes it."""
    return bool(
        _SPELLING.fullmatch(text)
        and h3.is_valid_cell(text)
        and h3.get_resolution(text) == RESOLUTION
    )


def zones_within(location: Location, reach_metres: float) -> frozenset[str]:
    """The location's own zone and those that begin within `reach_metres` of it, straight line."""
    home = zone_of(location)
    point = on_sphere(np.array([[location.latitude, location.longitude]]))
    found, rings = frozenset({home}), 1
    while True:
        surroundings = _surroundings(home, rings)
        wider = found | surroundings.within(point, reach_metres * GENEROUS)
        if wider == found:
            return found
        found, rings = wider, rings + 1


WIDEST_ZONE_DEGREES: Final = 1.0
"""No corner of a zone is farther than this from the zone's centre (some 80 km, which are 0.7
degrees)."""


def may_touch(zone: str, box: Box) -> bool:
    """False only if no place of the zone is in the box."""
    centre = _centre(zone)
    to_the_pole = 90 - abs(centre.latitude)
    reach = 180.0  # a zone at a pole has places of every longitude
    if to_the_pole > WIDEST_ZONE_DEGREES:
        widest, across = math.radians(WIDEST_ZONE_DEGREES), math.radians(to_the_pole)
        reach = math.degrees(math.asin(math.sin(widest) / math.sin(across)))
    return box.contains(centre, WIDEST_ZONE_DEGREES, reach)


@lru_cache(maxsize=4096)
def _centre(zone: str) -> Location:
    return Location(*h3.cell_to_latlng(zone))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """The outlines of some zones, one after the other, on the unit sphere."""

    zones: tuple[str, ...]
    first: IntArray
    """The index of each zone's first corner in `corners`."""
    corners: FloatArray
    sides: FloatArray
    """The vector from each corner to the next corner of the same zone."""

    def within(self, point: FloatArray, metres: float) -> frozenset[str]:
        """The zones whose outline is within `metres` of the point, which is on the unit sphere."""
        along = ((point - self.corners) * self.sides).sum(axis=1)
        share = np.clip(along / (self.sides * self.sides).sum(axis=1), 0, 1)
        feet = self.corners + share[:, None] * self.sides
        feet /= np.linalg.norm(feet, axis=1, keepdims=True)
        chords = np.minimum.reduceat(np.linalg.norm(feet - point, axis=1), self.first)
        near = np.flatnonzero(chords <= chord(metres))
        return frozenset(self.zones[row] for row in near)


@lru_cache(maxsize=4096)
def _surroundings(home: str, rings: int) -> _Surroundings:
    zones = tuple(h3.grid_disk(home, rings))
    outlines = [on_sphere(np.array(h3.cell_to_boundary(zone))) for zone in zones]
    sides = [np.roll(corners, -1, axis=0) - corners for corners in outlines]
    first = np.cumsum([0, *(len(corners) for corners in outlines[:-1])])
    return _Surroundings(zones, first, np.concatenate(outlines), np.concatenate(sides))
