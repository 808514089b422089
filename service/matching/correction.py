"""Corrections of travel-time estimates, by the features of a drive that are known beforehand.

Distances are metres, durations seconds, angles radians clockwise from north, corrections natural
logarithms of factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, Self

import h3
import numpy as np

from service.matching.travel import FloatArray, TravelTimes, crow_metres

KNOTS: Final = (150.0, 350.0, 700.0, 1400.0, 2800.0, 5600.0, 11200.0)
"""Straight-line metres. Between two knots, a correction is linear in the log of the distance."""
LOG_KNOTS: Final = np.log(KNOTS)

FIRST_SPREAD: Final = 0.4
"""Standard deviation of the logarithm of real ÷ estimated time before any leg is seen (New York
taxi trips have 0.35 around the best fit)."""
NINETIETH: Final = 1.2816
"""Quantile 0.9 of the standard normal distribution."""


def hour_of_week(instant: float) -> str:
    """The UTC hour of the week, "0" to "167", of an instant in seconds since 1970."""
    return str(int(instant // 3600) % 168)


class Kind(StrEnum):
    """The two kinds of drive, learned separately.

    A drive to a pickup is short and includes finding the rider.
    """

    PICKUP = "pickup"
    TRIP = "trip"


class Leg(NamedTuple):
    """One drive that has ended. Its ends are H3 cells: a pickup is somebody's home."""

    origin: str
    destination: str
    metres: float
    """The straight line from origin to destination."""
    bearing: float
    estimated: float
    """Seconds, by the estimate that is to be corrected."""
    started: float
    """Seconds since 1970."""
    seconds: float
    """The time that the drive took."""
    unicorn_id: str

    @property
    def hour(self) -> str:
        return hour_of_week(self.started)


@dataclass(frozen=True, slots=True)
class Drives:
    """Drives whose duration is to be estimated, in columns."""

    origins: Sequence[str]
    destinations: Sequence[str]
    metres: FloatArray
    bearings: FloatArray
    hours: Sequence[str]

    @classmethod
    def of(cls, legs: Sequence[Leg]) -> Self:
        return cls(
            [leg.origin for leg in legs],
            [leg.destination for leg in legs],
            np.array([leg.metres for leg in legs]),
            np.array([leg.bearing for leg in legs]),
            [leg.hour for leg in legs],
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """The terms to add to the logarithm of an estimate, by the features of the drive."""

    by_distance: tuple[float, ...] = (0.0,) * len(KNOTS)
    """The terms at `KNOTS`."""
    by_direction: tuple[float, ...] = (0.0,) * 4
    """Coefficients of cos 2θ, sin 2θ, cos 4θ, sin 4θ: a grid of streets has the same speed in
    opposite directions."""
    by_origin: Mapping[str, float] = field(default_factory=dict)
    by_destination: Mapping[str, float] = field(default_factory=dict)
    by_hour: Mapping[str, float] = field(default_factory=dict)
    spread: float = FIRST_SPREAD
    """Standard deviation of the logarithm of real ÷ corrected time."""
    pace: float = 1.0
    """The median of real ÷ straight-line time, independent of the estimate that is corrected."""

    def logarithms(self, drives: Drives) -> FloatArray:
        """The terms to add to the logarithms of the estimates, to get medians."""
        # Interpolates between the terms of two knots: the same as `hats` times the terms, faster.
        added = np.interp(_clipped_log(drives.metres), LOG_KNOTS, self.by_distance)
        if any(self.by_direction):
            added += waves(drives.bearings) @ np.array(self.by_direction)
        for effects, keys in (
            (self.by_origin, drives.origins),
            (self.by_destination, drives.destinations),
            (self.by_hour, drives.hours),
        ):
            if effects:
                added += np.array([effects.get(key, 0.0) for key in keys])
        result: FloatArray = added
        return result

    def factors(self, drives: Drives) -> FloatArray:
        """The factors on the estimates, to get medians."""
        factors: FloatArray = np.exp(self.logarithms(drives))
        return factors

    @property
    def latest_factor(self) -> float:
        """The factor on the median within which nine of ten drives end."""
        return float(np.exp(NINETIETH * self.spread))


AS_ESTIMATED: Final = Correction()
"""Corrects nothing."""


def power_law(seconds_per_km: float, exponent: float, metres_per_second: float) -> Correction:
    """The correction from a constant straight-line speed to `seconds_per_km` × km ** `exponent`."""
    knots = np.array(KNOTS)
    curve = seconds_per_km * (knots / 1000) ** exponent
    return Correction(by_distance=tuple(np.log(curve * metres_per_second / knots)))


def hats(metres: FloatArray) -> FloatArray:
    """The basis of the terms by distance (hat functions): for each distance, a row with the
    interpolation weights of the knots, of which one or two are not 0."""
    at = _clipped_log(metres)
    return np.stack([np.interp(at, LOG_KNOTS, row) for row in np.eye(len(KNOTS))], axis=1)


def _clipped_log(metres: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log(np.clip(metres, KNOTS[0], KNOTS[-1]))
    return logarithms


def waves(bearings: FloatArray) -> FloatArray:
    """The basis of the terms by direction (`Correction.by_direction`): a row for each bearing."""
    return np.stack(
        [wave(times * bearings) for times in (2, 4) for wave in (np.cos, np.sin)], axis=1
    )


CELL_RESOLUTION: Final = 8
"""The H3 resolution of cells of about 0.7 km², which are too large to be an address."""
RECENT_PLACES: Final = 20_000
"""The most places whose cells a process remembers. A round needs many pairs of few places, and the
next round needs most of these places again (2,000 pairs: 1 ms instead of 2.6 ms)."""


def drives_between(origins: FloatArray, destinations: FloatArray, hour: str) -> Drives:
    """The drives between the places of each row, which are (latitude, longitude) in degrees."""
    south, north = np.radians(origins[:, 0]), np.radians(destinations[:, 0])
    east = np.radians(destinations[:, 1] - origins[:, 1])
    bearings = np.arctan2(
        np.sin(east) * np.cos(north),
        np.cos(south) * np.sin(north) - np.sin(south) * np.cos(north) * np.cos(east),
    )
    return Drives(
        _cells(origins),
        _cells(destinations),
        crow_metres(origins, destinations),
        bearings,
        [hour] * len(origins),
    )


def _cells(places: FloatArray) -> list[str]:
    return list(map(_cell, places[:, 0].tolist(), places[:, 1].tolist()))


@lru_cache(maxsize=RECENT_PLACES)
def _cell(latitude: float, longitude: float) -> str:
    return str(h3.latlng_to_cell(latitude, longitude, CELL_RESOLUTION))


@dataclass(frozen=True, slots=True)
class CorrectedTimes:
    """`TravelTimes` of `base`, with a correction for one kind of drive."""

    base: TravelTimes
    correction: Correction
    hour: str
    """The hour of the week of the drives."""

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres = self.base.estimate(origins, destinations)
        if not len(seconds):
            return seconds, metres
        drives = drives_between(origins, destinations, self.hour)
        return seconds * self.correction.factors(drives), metres

    def reach_metres(self, seconds: float) -> float:
        """The longest straight line with this corrected time, and at least the reach of `base`.

        Only the terms by distance count.
        """
        distances = np.geomspace(KNOTS[0], 4 * KNOTS[-1], 100)
        terms = np.interp(_clipped_log(distances), LOG_KNOTS, self.correction.by_distance)
        corrections = np.exp(terms)
        reached = distances[distances / self.base.reach_metres(1) * corrections <= seconds]
        return float(reached.max(initial=self.base.reach_metres(seconds)))
