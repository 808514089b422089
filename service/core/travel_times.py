"""The travel times of a zone: a base estimate, corrected by what the zone's legs have taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

import numpy as np

from service.matching.correction import (
    AS_ESTIMATED,
    CorrectedTimes,
    Correction,
    Kind,
    drives_between,
    hour_of_week,
    power_law,
)
from service.matching.remaining import RemainingTime
from service.matching.travel import FloatArray, GreatCircle, TravelTimes

NEW_YORK: Final = power_law(353.0, 0.58, GreatCircle().reach_metres(1))
"""The default correction of straight-line times, used for riders until their zone has learned.
Short drives take more time per metre than long ones. Fitted on New York taxi trips
(tests/load/bench/learning.py)."""


class Corrections(Protocol):
    """The corrections that zones have learned. Reading makes no remote call."""

    def of(self, zone: str, kind: Kind) -> Correction | None:
        """The zone's correction for this kind of drive; None if it has learned nothing yet."""


class NoCorrections:
    """`Corrections` without any: no zone has learned anything."""

    def of(self, zone: str, kind: Kind) -> Correction | None:
        return None


@dataclass(frozen=True, slots=True)
class ZoneTimes:
    """The one source of travel times, for rounds, estimates, the live view and the sweep.

    Until a zone has learned, rounds decide by `base`, for which their settings were chosen. Riders
    are told `base` corrected by `prior`. From then on both use what the zone has learned.
    """

    base: TravelTimes
    corrections: Corrections = field(default_factory=NoCorrections)
    prior: Correction = AS_ESTIMATED
    make_round_base: Callable[[], TravelTimes] | None = None
    """Makes the base for one round, if estimates cost remote calls; None: rounds use `base`."""

    def for_a_round(self) -> ZoneTimes:
        """The same times for one pairing of a round, whose remote calls share one budget."""
        return replace(self, base=self.make_round_base()) if self.make_round_base else self

    def for_pairing(self, zone: str, now: datetime) -> TravelTimes:
        """Travel times for pairing: pickups as the zone has learned them, or else uncorrected."""
        learned = self.corrections.of(zone, Kind.PICKUP)
        return CorrectedTimes(self.base, learned, _hour(now)) if learned else self.base

    def straight(self, zone: str, now: datetime) -> TravelTimes:
        """Straight-line travel times, to choose among very many places. No remote call.

        With a routing engine, the speed is the median speed of the zone's learned pickups.
        """
        if isinstance(self.base, GreatCircle):
            return self.for_pairing(zone, now)
        learned, line = self.corrections.of(zone, Kind.PICKUP), GreatCircle()
        return replace(line, speed_kmh=line.speed_kmh / learned.pace) if learned else line

    def straight_trips(self, zone: str, now: datetime) -> tuple[TravelTimes, RemainingTime]:
        """As `trips`, by straight line. No remote call."""
        if isinstance(self.base, GreatCircle):
            return self.trips(zone, now)
        return GreatCircle(), RemainingTime.default()

    def for_riders(self, zone: str, kind: Kind, now: datetime) -> CorrectedTimes:
        """Median travel times, as shown to riders and drivers."""
        return CorrectedTimes(self.base, self.rider_correction(zone, kind), _hour(now))

    def trips(self, zone: str, now: datetime) -> tuple[TravelTimes, RemainingTime]:
        """The travel times of trips, and the model for the remaining time of trips under way."""
        learned = self.corrections.of(zone, Kind.TRIP)
        if learned is None:
            return self.base, RemainingTime.default()
        return CorrectedTimes(self.base, learned, _hour(now)), RemainingTime.of_learned()

    def rider_factors(
        self, zone: str, origins: FloatArray, destinations: FloatArray, now: datetime
    ) -> FloatArray:
        """For each drive: the ETA that a rider is told ÷ the ETA by `for_pairing`."""
        if self.corrections.of(zone, Kind.PICKUP) or not len(origins):
            return np.ones(len(origins))
        return self.prior.factors(drives_between(origins, destinations, _hour(now)))

    def latest_factor(self, zone: str, kind: Kind) -> float:
        """The 90th percentile of a drive's time ÷ its median."""
        return self.rider_correction(zone, kind).latest_factor

    def rider_correction(self, zone: str, kind: Kind) -> Correction:
        """The correction from the base estimate to the time that people are told."""
        return self.corrections.of(zone, kind) or self.prior


def _hour(instant: datetime) -> str:
    return hour_of_week(instant.timestamp())
