"""The travel times of a zone: the estimate it starts with, and what its legs have taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from service.matching.candidates import expected
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
from service.model import RideStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.model import FleetEntry, Location, Ride

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
        return CorrectedTimes(self.base, self.told_by(zone, kind), _hour(now))

    def expect(self, rides: Iterable[Ride], fleet: Iterable[FleetEntry]) -> None:
        """Ask for all that a round of these may need in one question; a straight line needs none.

        A base that is asked over a network remembers what it said.
        """
        if not isinstance(self.base, GreatCircle):
            self.base.estimate(*expected(rides, fleet))

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
        return self.told_by(zone, kind).latest_factor

    def told_by(self, zone: str, kind: Kind) -> Correction:
        """What turns the base estimate into what people are told."""
        return self.corrections.of(zone, kind) or self.prior


ENDS_WITHIN_METRES: Final = 500
"""A trip said to end farther from its dropoff was not driven to it: it would teach too short a
time."""


class Drive(NamedTuple):
    """A drive that a ride has just ended."""

    kind: Kind
    start: Location
    end: Location
    began: datetime
    ended: datetime
    unicorn_id: str

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds()

    def leg(self, base: TravelTimes) -> Leg:
        """What the drive teaches. Asks `base` once."""
        origins, destinations = places([self.start]), places([self.end])
        drives = drives_between(origins, destinations, _hour(self.began))
        estimated, _ = base.estimate(origins, destinations)
        return Leg(
            origin=drives.origins[0],
            destination=drives.destinations[0],
            metres=float(drives.metres[0]),
            bearing=float(drives.bearings[0]),
            estimated=float(estimated[0]),
            started=self.began.timestamp(),
            seconds=self.seconds,
            unicorn_id=self.unicorn_id,
        )


def ended_drive(ride: Ride) -> Drive | None:
    """The drive that ended with the step that the ride has just taken, if its end is known.

    The way to the pickup ended when the unicorn was first seen there, whenever its driver said so.
    """
    if ride.unicorn is None:
        return None
    unicorn_id, at = ride.unicorn.unicorn_id, ride.unicorn.location
    if ride.status is RideStatus.IN_PROGRESS and ride.matched_at and ride.reached_at:
        return Drive(Kind.PICKUP, at, ride.pickup, ride.matched_at, ride.reached_at, unicorn_id)
    began, ended = ride.started_at, ride.completed_at
    is_there = (ride.completed_distance_metres or 0) <= ENDS_WITHIN_METRES
    if ride.status is RideStatus.COMPLETED and ride.dropoff and began and ended and is_there:
        return Drive(Kind.TRIP, ride.pickup, ride.dropoff, began, ended, unicorn_id)
    return None


def _hour(instant: datetime) -> str:
    return hour_of_week(instant.timestamp())
