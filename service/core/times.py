"""The travel times of a zone: the estimate it starts with, and what its legs have taught."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from service.matching.correction import (
    AS_ESTIMATED,
    CorrectedTimes,
    Correction,
    Kind,
    Leg,
    drives_between,
    hour_of_week,
    power_law,
)
from service.matching.remaining import RemainingTime
from service.matching.travel import (
    FloatArray,
    GreatCircle,
    TravelTimes,
    places,
)

if TYPE_CHECKING:
    from service.model import Location, Ride

NEW_YORK: Final = power_law(353.0, 0.58, GreatCircle().reach_metres(1))
"""What riders are told by straight line until their zone has learned: short drives cost more than
their metres, long ones less. Fitted on New York taxi trips (tests/load/bench/learning.py)."""


class Corrections(Protocol):
    """What each zone has learned. Reading costs no remote call."""

    def of(self, zone: str, kind: Kind) -> Correction | None:
        """None while the zone has learned nothing."""


class Nothing:
    """`Corrections` of a service that has learned nothing yet."""

    def of(self, zone: str, kind: Kind) -> Correction | None:
        return None


@dataclass(frozen=True, slots=True)
class ZoneTimes:
    """The one source of travel times: for rounds, estimates, the live view and the sweep.

    Rounds decide by `base` until a zone has learned: what is tuned on it stays true. Riders are
    told what `prior` makes of it. From then on both use what the zone has learned.
    """

    base: TravelTimes
    corrections: Corrections = field(default_factory=Nothing)
    prior: Correction = AS_ESTIMATED

    def deciding(self, zone: str, now: datetime) -> TravelTimes:
        """For pairing: pickups as the zone has learned them, else uncorrected."""
        learned = self.corrections.of(zone, Kind.PICKUP)
        return CorrectedTimes(self.base, learned, _hour(now)) if learned else self.base

    def telling(self, zone: str, kind: Kind, now: datetime) -> CorrectedTimes:
        """For what people are told: the median."""
        return CorrectedTimes(self.base, self._told(zone, kind), _hour(now))

    def trips(self, zone: str, now: datetime) -> tuple[TravelTimes, RemainingTime]:
        """How long trips take, and what is left of those under way."""
        learned = self.corrections.of(zone, Kind.TRIP)
        if learned is None:
            return self.base, RemainingTime.default()
        return CorrectedTimes(self.base, learned, _hour(now)), RemainingTime.of_learned()

    def told_of_decided(
        self, zone: str, origins: FloatArray, destinations: FloatArray, now: datetime
    ) -> FloatArray:
        """Factors that turn pickup times of `deciding` into those riders are told."""
        if self.corrections.of(zone, Kind.PICKUP) or not len(origins):
            return np.ones(len(origins))
        return self.prior.factors(drives_between(origins, destinations, _hour(now)))

    def latest_factor(self, zone: str, kind: Kind) -> float:
        """Nine of ten drives take at most so many times what is told."""
        return self._told(zone, kind).latest_factor

    def _told(self, zone: str, kind: Kind) -> Correction:
        return self.corrections.of(zone, kind) or self.prior


ENDS_WITHIN_METRES: Final = 500
"""A leg said to end farther from its end was not driven to it: it would teach too short a time."""


def completed_legs(ride: Ride, base: TravelTimes) -> dict[Kind, Leg]:
    """What a completed ride teaches: each leg that ended where it should, with known instants."""
    unicorn, legs = ride.unicorn, dict[Kind, Leg]()
    if unicorn is None:
        return legs
    if ride.matched_at and ride.arrived_at and _is_there(ride.arrived_distance_metres):
        way = unicorn.location, ride.pickup
        legs[Kind.PICKUP] = _leg(base, way, ride.matched_at, ride.arrived_at, unicorn.unicorn_id)
    if not _is_there(ride.completed_distance_metres):
        return legs
    if ride.dropoff and ride.started_at and ride.completed_at:
        way = ride.pickup, ride.dropoff
        legs[Kind.TRIP] = _leg(base, way, ride.started_at, ride.completed_at, unicorn.unicorn_id)
    return legs


def _is_there(metres: int | None) -> bool:
    return metres is None or metres <= ENDS_WITHIN_METRES


def _leg(
    base: TravelTimes,
    way: tuple[Location, Location],
    began: datetime,
    ended: datetime,
    unicorn_id: str,
) -> Leg:
    origins, destinations = (places([end]) for end in way)
    drives = drives_between(origins, destinations, _hour(began))
    seconds, _ = base.estimate(origins, destinations)
    return Leg(
        origin=drives.origins[0],
        destination=drives.destinations[0],
        metres=float(drives.metres[0]),
        bearing=float(drives.bearings[0]),
        estimated=float(seconds[0]),
        started=began.timestamp(),
        seconds=(ended - began).total_seconds(),
        unicorn_id=unicorn_id,
    )


def _hour(instant: datetime) -> str:
    return hour_of_week(instant.timestamp())
