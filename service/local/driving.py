"""The position of a simulated unicorn: straight legs at a constant speed. No I/O, no clock."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

DRIVING_METRES_PER_SECOND = 23.1 / 3.6 / 1.37
"""Straight-line speed behind 23.1 km/h on streets that are 1.37 times as long (New York taxis)."""
METRES_PER_DEGREE = 111_195.0
LOWER_MANHATTAN = ((40.703, 40.738), (-74.014, -73.978))
"""Latitudes and longitudes between which the herd starts."""


@dataclass(frozen=True, slots=True)
class Place:
    """WGS-84 degrees, as the API writes them."""

    latitude: float
    longitude: float

    def metres_to(self, other: Place) -> float:
        """Great-circle distance, flat-earth approximation: good to a metre within a city."""
        north = other.latitude - self.latitude
        east = (other.longitude - self.longitude) * math.cos(math.radians(self.latitude))
        return math.hypot(north, east) * METRES_PER_DEGREE

    def towards(self, other: Place, share: float) -> Place:
        return Place(
            self.latitude + share * (other.latitude - self.latitude),
            self.longitude + share * (other.longitude - self.longitude),
        )

    def heading_to(self, other: Place) -> float:
        """Degrees clockwise from north."""
        east = (other.longitude - self.longitude) * math.cos(math.radians(self.latitude))
        return math.degrees(math.atan2(east, other.latitude - self.latitude)) % 360


@dataclass(frozen=True, slots=True)
class Leg:
    """A drive that began at `departed` (seconds); at its end the unicorn stands still."""

    origin: Place
    destination: Place
    departed: float
    metres_per_second: float

    @classmethod
    def standing(cls, place: Place) -> Leg:
        return cls(place, place, 0.0, DRIVING_METRES_PER_SECOND)

    @property
    def arrives(self) -> float:
        return self.departed + self.origin.metres_to(self.destination) / self.metres_per_second

    def at(self, now: float) -> Place:
        duration = self.arrives - self.departed
        share = 1.0 if duration <= 0 else (now - self.departed) / duration
        return self.origin.towards(self.destination, min(max(share, 0.0), 1.0))


def somewhere_in_manhattan(dice: random.Random) -> Place:
    latitudes, longitudes = LOWER_MANHATTAN
    return Place(round(dice.uniform(*latitudes), 6), round(dice.uniform(*longitudes), 6))
