"""The unicorns and riders of a simulated city."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from service.matching.travel import GreatCircle
from service.model import FleetEntry, Location, Position, Trip, Unicorn
from tests.load.bench.nyc import MEASURED, MIDNIGHT, NycTrip
from tests.support.builders import a_usable_unicorn

TRAVEL = GreatCircle()


@dataclass
class Rider:
    """A request for a ride and its result. Times are seconds after midnight."""

    trip: NycTrip
    requested: float
    picked_up: float | None = None
    empty_metres: float = 0.0
    swaps: int = 0

    @property
    def counts(self) -> bool:
        """Whether the rider asked for a ride in the measured time."""
        return MEASURED[0] <= self.requested < MEASURED[1]


@dataclass
class Cab:
    """A unicorn: its stored value, its real activity, and since when it does that."""

    unicorn: Unicorn
    at: Location
    since: float = 0.0
    heading_for: Location | None = None
    arrives: float = 0.0
    next_ride: str | None = None
    """The ride that it must take after the present one (only with firm policies)."""
    offered: bool = False
    """It has an offer that it has not answered yet."""
    rides: int = 0
    idle_seconds: float = 0.0
    """Total seconds without a ride, until it last set out for one."""
    moving: bool = False
    """It drives to the place where it should wait, and is free meanwhile."""
    _crossings: Sequence[tuple[float, Location]] = ()
    """The crossings on its way to the place where it should wait, with the time of each; empty if
    it drives in a straight line."""
    _standing: FleetEntry | None = None
    """Its entry in the fleet index, valid until its next event."""

    @classmethod
    def on_duty(cls, unicorn_id: str, at: Location) -> Cab:
        return cls(a_usable_unicorn(unicorn_id=unicorn_id), at)

    @property
    def unbound(self) -> bool:
        """Whether it is not bound to a next ride."""
        return self.next_ride is None and not self.offered

    def move(self, target: Location, now: float, slowness: float = 1.0) -> float:
        """Set out for the place where it should wait. Returns the metres that it had driven towards
        the former place.
        """
        driven = self.halt(now)
        self.idle_seconds += now - self.since
        self.since, self.heading_for, self.moving = now, target, True
        self.arrives = now + slowness * TRAVEL.crow_metres(self.at, target) / TRAVEL.reach_metres(1)
        return driven

    def follow(self, crossings: Sequence[tuple[float, Location]]) -> None:
        """Drive there along these crossings instead of in a straight line."""
        self._crossings, self.arrives = crossings, crossings[-1][0]

    def next_crossing_at(self, now: float) -> float:
        """When it reaches the crossing at which the fleet index places it."""
        return self._crossings[self._next(now)][0] if self._crossings else now

    def _next(self, now: float) -> int:
        after = bisect_left(self._crossings, now, key=itemgetter(0))
        return min(after, len(self._crossings) - 1)

    def halt(self, now: float) -> float:
        """Stop at its present place. Returns the straight-line metres that it moved."""
        if not self.moving or self.heading_for is None:
            return 0.0
        start = self.at
        self.at = self._on_the_way(self.heading_for, now)
        self.idle_seconds += now - self.since
        self.since, self.heading_for, self.moving, self._standing = now, None, False, None
        self._crossings = ()
        return TRAVEL.crow_metres(start, self.at)

    def depart(self, ride_id: str, rider: Rider, now: float, slowness: float = 1.0) -> None:
        """Take the ride and set out for the pickup; drives take `slowness` times their estimate."""
        trip = rider.trip
        self.unicorn = self.unicorn.reserved(ride_id, Trip(trip.pickup, trip.dropoff))
        self._standing = None
        self.idle_seconds += now - self.since
        self.since, self.heading_for = now, trip.pickup
        crow = TRAVEL.crow_metres(self.at, trip.pickup)
        self.arrives = now + slowness * crow / TRAVEL.reach_metres(1)
        rider.empty_metres += crow * TRAVEL.detour

    def stop(self, ride_id: str, rider: Rider, now: float) -> None:
        """Give up the drive to a pickup: it is free again at its present place."""
        assert self.heading_for
        self.at = self._on_the_way(self.heading_for, now)
        rider.empty_metres -= TRAVEL.crow_metres(self.at, self.heading_for) * TRAVEL.detour
        self.unicorn = self.unicorn.released(ride_id, instant(now))
        self.since, self.heading_for, self._standing = now, None, None

    def pick_up(self, ride_id: str, rider: Rider, now: float) -> None:
        rider.picked_up = now
        self.unicorn = self.unicorn.departed(ride_id, instant(now))
        self.at, self.heading_for, self._standing = rider.trip.pickup, None, None

    def finish(self, ride_id: str, rider: Rider, now: float) -> None:
        self.unicorn = self.unicorn.released(ride_id, instant(now))
        self.at, self.since, self.rides = rider.trip.dropoff, now, self.rides + 1
        self._standing = None

    def idle_until(self, now: float) -> float:
        """Seconds without a ride so far."""
        return self.idle_seconds + (now - self.since if self.unicorn.can_take_a_ride else 0.0)

    def entry(self, now: float) -> FleetEntry:
        """The entry that the fleet index would have of it."""
        if self.heading_for and (self.moving or self.arrives > now):
            return self._entry(self._on_the_way(self.heading_for, now))
        if self._standing is None:
            self._standing = self._entry(self.at)
        return self._standing

    def _entry(self, place: Location) -> FleetEntry:
        return FleetEntry(self.unicorn, Position(place, instant(self.since)))

    def _on_the_way(self, goal: Location, now: float) -> Location:
        """Its place: on the straight line to a pickup or to the place where it should wait, or the
        next crossing.
        """
        if self._crossings:
            return self._crossings[self._next(now)][1]
        duration = self.arrives - self.since
        done = min(1.0, (now - self.since) / duration) if duration > 0 else 1.0
        return Location(
            self.at.latitude + done * (goal.latitude - self.at.latitude),
            self.at.longitude + done * (goal.longitude - self.at.longitude),
        )


def instant(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)
