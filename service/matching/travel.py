"""Estimates of travel times and distances."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.model import Location

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.intp]
BoolArray: TypeAlias = NDArray[np.bool_]
Metres = TypeVar("Metres", float, FloatArray)

EARTH_RADIUS_METRES: Final = 6_371_008.8
"""Mean radius of the earth (IUGG)."""


class TravelTimes(Protocol):
    """Estimates drives from one place to another.

    Places are rows of (latitude, longitude). A call takes many pairs, so that an implementation
    behind a network makes one call, with each distinct place once.
    """

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The seconds and metres from each origin to the destination in the same row."""

    def reach_metres(self, seconds: float) -> float:
        """The straight-line distance in metres that can be covered in this time."""


@dataclass(frozen=True, slots=True)
class GreatCircle:
    """Straight line times a detour factor at a constant speed.

    The defaults are measured on New York taxi trips, 1 January 2013.
    """

    detour: float = 1.37
    speed_kmh: float = 23.1

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        metres = crow_metres(origins, destinations) * self.detour
        return metres / self._metres_per_second, metres

    def reach_metres(self, seconds: float) -> float:
        return seconds * self._metres_per_second / self.detour

    def crow_metres(self, origin: Location, destination: Location) -> float:
        """Straight line (haversine), metres."""
        south, north = math.radians(origin.latitude), math.radians(destination.latitude)
        east = math.radians(destination.longitude - origin.longitude)
        haversine = math.sin((north - south) / 2) ** 2
        haversine += math.cos(south) * math.cos(north) * math.sin(east / 2) ** 2
        return 2 * EARTH_RADIUS_METRES * math.asin(math.sqrt(min(1.0, haversine)))

    @property
    def _metres_per_second(self) -> float:
        return self.speed_kmh / 3.6


class NoWay:
    """`TravelTimes` that are infinite for every drive, for use where a guess would be worse than
    none.
    """

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return np.full(len(origins), np.inf), np.full(len(origins), np.inf)

    def reach_metres(self, seconds: float) -> float:
        return GreatCircle().reach_metres(seconds)


def seconds_between(travel: TravelTimes, origin: Location, destination: Location) -> float:
    """The time of a single drive in seconds."""
    seconds, _ = travel.estimate(places([origin]), places([destination]))
    return float(seconds[0])


def places(locations: Iterable[Location]) -> FloatArray:
    """Locations as rows of (latitude, longitude)."""
    flat = [degrees for at in locations for degrees in (at.latitude, at.longitude)]
    return np.array(flat, dtype=np.float64).reshape(-1, 2)


def crow_metres(origins: FloatArray, destinations: FloatArray) -> FloatArray:
    """The straight lines (haversine) between the places of each row, in metres."""
    start, end = np.radians(origins), np.radians(destinations)
    half = np.sin((end - start) / 2) ** 2
    haversine = half[:, 0] + np.cos(start[:, 0]) * np.cos(end[:, 0]) * half[:, 1]
    metres: FloatArray = 2 * EARTH_RADIUS_METRES * np.arcsin(np.sqrt(np.minimum(1.0, haversine)))
    return metres


def on_sphere(places: FloatArray) -> FloatArray:
    """Places as points on the unit sphere, where no pole and no date line is special."""
    latitude, longitude = np.radians(places).T
    shrink = np.cos(latitude)
    points: FloatArray = np.array(
        [shrink * np.cos(longitude), shrink * np.sin(longitude), np.sin(latitude)]
    ).T
    return points


def chord(metres: Metres) -> Metres:
    """The chord on the unit sphere between two points that are `metres` apart on earth."""
    half: Metres = np.sin(np.minimum(metres / EARTH_RADIUS_METRES, math.pi) / 2)
    return 2 * half
