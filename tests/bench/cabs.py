"""The unicorns and riders of a simulated city."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.core.dispatch.travel import GreatCircle
from service.core.model import FleetEntry, Location, Position, Trip, Unicorn, UnicornState
from tests.bench.nyc import MIDNIGHT, NycTrip

TRAVEL = GreatCircle()


@dataclass
class Rider:
    """A request for a ride, and what became of it. Times are seconds after midnight."""

    trip: NycTrip
    requested: float
    picked_up: float | None = None
    empty_metres: float = 0.0
    swaps: int = 0


@dataclass
class Cab:
    """A unicorn: its stored value, and what it is really doing since when."""

    unicorn: Unicorn
    at: Location
    since: float = 0.0
    heading_for: Location | None = None
    arrives: float = 0.0
    next_ride: str | None = None
    """A ride it is bound to take after this one (firm policies only)."""
    offered: bool = False
    """Asked, and thinking about it."""
    rides: int = 0

    @classmethod
    def on_duty(cls, unicorn_id: str, at: Location) -> Cab:
        unicorn = Unicorn(
            unicorn_id=unicorn_id,
            name=unicorn_id,
            color="White",
            gender="Female",
            state=UnicornState.AVAILABLE,
            accepting=True,
        )
        return cls(unicorn, at)

    @property
    def unbound(self) -> bool:
        """Nobody else is promised its next ride."""
        return self.next_ride is None and not self.offered

    def depart(self, ride_id: str, rider: Rider, now: float) -> None:
        """Take the ride and set out for the pickup."""
        trip = rider.trip
        self.unicorn = self.unicorn.reserved(ride_id, Trip(trip.pickup, trip.dropoff))
        self.since, self.heading_for = now, trip.pickup
        crow = TRAVEL.crow_metres(self.at, trip.pickup)
        self.arrives = now + crow / TRAVEL.reach_metres(1)
        rider.empty_metres += crow * TRAVEL.detour

    def pick_up(self, ride_id: str, rider: Rider, now: float) -> None:
        rider.picked_up = now
        self.unicorn = self.unicorn.departed(ride_id, instant(now))
        self.at, self.heading_for = rider.trip.pickup, None

    def finish(self, ride_id: str, rider: Rider, now: float) -> None:
        self.unicorn = self.unicorn.released(ride_id)
        self.at, self.since, self.rides = rider.trip.dropoff, now, self.rides + 1

    def entry(self, now: float) -> FleetEntry:
        """What the fleet index would tell of it."""
        idle_since = instant(self.since) if self.unicorn.can_take_a_ride else None
        return FleetEntry(self.unicorn, Position(self._place(now), instant(now)), idle_since)

    def _place(self, now: float) -> Location:
        """On the way to a pickup: on the straight line there."""
        if self.heading_for is None or self.arrives <= self.since:
            return self.at
        done = min(1.0, (now - self.since) / (self.arrives - self.since))
        return Location(
            self.at.latitude + done * (self.heading_for.latitude - self.at.latitude),
            self.at.longitude + done * (self.heading_for.longitude - self.at.longitude),
        )


def instant(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)
