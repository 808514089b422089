"""The travel times of a zone: the estimate it starts with, and what its legs have taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

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
    of_a_round: Callable[[], TravelTimes] | None = None
    """Makes what one round uses in place of `base`, where a question costs a remote call."""

    def for_a_round(self) -> ZoneTimes:
        """The same, for the questions that belong to one pairing."""
        return replace(self, base=self.of_a_round()) if self.of_a_round else self

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
    """What a completed ride teaches: each leg that ended where it should, with known instants.

    Asks `base` once, for both legs together.
    """
    drives = _completed_drives(ride)
    if ride.unicorn is None or not drives:
        return {}
    origins = places(drive.start for drive in drives.values())
    destinations = places(drive.end for drive in drives.values())
    # A leg tells its hour by when it began, so none is needed here.
    known = drives_between(origins, destinations, hour="")
    estimated, _ = base.estimate(origins, destinations)
    return {
        kind: Leg(
            origin=known.origins[row],
            destination=known.destinations[row],
            metres=float(known.metres[row]),
            bearing=float(known.bearings[row]),
            estimated=float(estimated[row]),
            started=drive.began.timestamp(),
            seconds=(drive.ended - drive.began).total_seconds(),
            unicorn_id=ride.unicorn.unicorn_id,
        )
        for row, (kind, drive) in enumerate(drives.items())
    }


class _Drive(NamedTuple):
    start: Location
    end: Location
    began: datetime
    ended: datetime


def _completed_drives(ride: Ride) -> dict[Kind, _Drive]:
    drives = dict[Kind, _Drive]()
    at = ride.unicorn.location if ride.unicorn else None
    if at and ride.matched_at and ride.arrived_at and _is_there(ride.arrived_distance_metres):
        drives[Kind.PICKUP] = _Drive(at, ride.pickup, ride.matched_at, ride.arrived_at)
    ended = ride.completed_at if _is_there(ride.completed_distance_metres) else None
    if ride.dropoff and ride.started_at and ended:
        drives[Kind.TRIP] = _Drive(ride.pickup, ride.dropoff, ride.started_at, ended)
    return drives


def _is_there(metres: int | None) -> bool:
    return metres is None or metres <= ENDS_WITHIN_METRES


def _hour(instant: datetime) -> str:
    return hour_of_week(instant.timestamp())
