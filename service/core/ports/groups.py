"""Which ports go together, and the limits that the use cases keep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.core.pickup_etas import PickupEtas
from service.core.ports.fleet import FleetIndex
from service.core.ports.learning import Legs, Matches, MoveMemory
from service.core.ports.rounds import Changes, RoundQueue, WaitingRides
from service.core.ports.tables import Assignments, DeadLetters, DispatchControl, Rides, Unicorns
from service.core.travel_times import ZoneTimes
from service.model import Ride


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits of the service, from its settings (`service.bootstrap.rules_of`)."""

    match_within: timedelta = timedelta(seconds=180)
    offer_lasts: timedelta = timedelta(seconds=15)
    offers_missed_max: int = 3
    """A unicorn goes off duty after missing the offers of this many rides in a row; 0: never."""
    no_show_after: timedelta = timedelta(seconds=600)
    stale_after: timedelta = timedelta(seconds=60)
    max_pickup_eta: timedelta = timedelta(seconds=480)
    reach_metres: float = 2250.0
    """The straight-line distance within which a unicorn can meet the cap on the pickup ETA."""
    max_active_rides: int = 0
    arrive_max_metres: int = 500
    """How far from the pickup a unicorn may be when it reports its arrival; 0: anywhere."""
    plan_extends: timedelta = timedelta(seconds=480)
    """How much longer than its deadline a ride may wait for the unicorn planned for it."""

    def ends_at(self, ride: Ride, *, planned: bool) -> datetime:
        """When a waiting ride ends unmatched: at its deadline or, if `planned`, later."""
        return ride.deadline_at + (self.plan_extends if planned else timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """The ports that may lose everything and are updated after a committed write, and what every
    use case needs: the travel times and the rules."""

    fleet: FleetIndex
    waiting: WaitingRides
    rounds: RoundQueue
    changes: Changes
    legs: Legs
    statistics: Matches
    times: ZoneTimes
    rules: Rules = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores(Hints):
    """The truth about rides and unicorns, and the hints: all that a transition needs."""

    rides: Rides
    unicorns: Unicorns
    assignments: Assignments
    control: DispatchControl


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports(Stores):
    """The ports of riders', drivers' and staff's use cases, built once for a process. A use case
    takes the smallest part that it needs."""

    dead_letters: DeadLetters
    moves: MoveMemory
    pickup_etas: PickupEtas
    """Pickup ETAs by `times`, remembered for those who follow a ride."""
