"""A simulated city: real demand and real trip times, dispatched by the engine of the service.

Rounds run as in the service: at once when a rider comes or a unicorn is free, and every few seconds
(the sweep) while somebody waits. Decisions see estimates; what happens is what really happened.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import numpy as np

from service.core.dispatch.matching import Tuning, match
from service.core.dispatch.remaining import RemainingTime
from service.core.dispatch.travel import FloatArray, GreatCircle, TravelTimes
from service.core.model import (
    FleetEntry,
    Location,
    Pairing,
    Position,
    Ride,
    Trip,
    Unicorn,
    UnicornState,
)
from tests.bench.nyc import MIDNIGHT, NycTrip, thinned

PATIENCE_SECONDS = 180.0
SWEEP_SECONDS = 4.0
END = 3300.0
TRAVEL = GreatCircle()


@dataclass(frozen=True)
class Policy:
    """A way to dispatch. `firm`: plans bind the unicorn; `oracle`: real trip times are known."""

    name: str
    tuning: Tuning
    remaining: RemainingTime = field(default_factory=RemainingTime.default)
    firm: bool = False
    oracle: bool = False


@dataclass
class Cab:
    """A unicorn of the simulation, its stored value and what it is doing."""

    unicorn: Unicorn
    at: Location
    since: float = 0.0
    heading_for: Location | None = None
    arrives: float = 0.0
    next_ride: str | None = None
    rides: int = 0

    def place(self, now: float) -> Location:
        """Where it is; on its way to a pickup it moves in a straight line."""
        if self.heading_for is None or self.arrives <= self.since:
            return self.at
        done = min(1.0, (now - self.since) / (self.arrives - self.since))
        return Location(
            self.at.latitude + done * (self.heading_for.latitude - self.at.latitude),
            self.at.longitude + done * (self.heading_for.longitude - self.at.longitude),
        )

    def entry(self, now: float) -> FleetEntry:
        idle_since = instant(self.since) if self.unicorn.can_take_a_ride else None
        return FleetEntry(self.unicorn, Position(self.place(now), instant(now)), idle_since)


@dataclass
class Record:
    """What became of a rider."""

    requested: float
    picked_up: float | None = None
    empty_metres: float = 0.0
    swaps: int = 0


def instant(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Foreknowledge:
    """Travel times that know how long each of these trips will really take."""

    real_seconds: Mapping[tuple[float, ...], float]

    @classmethod
    def of(cls, trips: Iterable[NycTrip]) -> Foreknowledge:
        return cls({_key(trip.pickup, trip.dropoff): trip.seconds for trip in trips})

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres = TRAVEL.estimate(origins, destinations)
        keys = np.concatenate([origins, destinations], axis=1).tolist()
        for row, key in enumerate(keys):
            seconds[row] = self.real_seconds.get(tuple(key), seconds[row])
        return seconds, metres

    def reach_metres(self, seconds: float) -> float:
        return TRAVEL.reach_metres(seconds)


def _key(pickup: Location, dropoff: Location) -> tuple[float, ...]:
    return pickup.latitude, pickup.longitude, dropoff.latitude, dropoff.longitude


class World:
    """One run: a fleet, a demand, a policy."""

    def __init__(
        self,
        policy: Policy,
        demand: Sequence[tuple[float, NycTrip]],
        starts: Sequence[Location],
    ) -> None:
        self.policy = policy
        self.travel: TravelTimes = (
            Foreknowledge.of(trip for _, trip in demand) if policy.oracle else TRAVEL
        )
        self.trips: dict[str, NycTrip] = {}
        self.records: dict[str, Record] = {}
        self.waiting: dict[str, Ride] = {}
        self.plans: dict[str, Pairing] = {}
        self.cabs = {f"u{n:05}": Cab(_on_duty(f"u{n:05}"), at) for n, at in enumerate(starts)}
        self.rounds: list[float] = []
        """CPU seconds of each round."""
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._sweep_at = 0.0
        for number, (at, trip) in enumerate(demand):
            self._later(at, partial(self._request, f"r{number:05}", trip))

    def run(self) -> World:
        while self._events and self._events[0][0] < END:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self

    def _later(self, at: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), happen))

    def _request(self, ride_id: str, trip: NycTrip, now: float) -> None:
        self.trips[ride_id], self.records[ride_id] = trip, Record(now)
        self.waiting[ride_id] = Ride(
            ride_id=ride_id,
            rider_id=ride_id,
            pickup=trip.pickup,
            dropoff=trip.dropoff,
            zone="",
            requested_at=instant(now),
            deadline_at=instant(now + PATIENCE_SECONDS),
            due_at=None,
        )
        self._later(now + PATIENCE_SECONDS, self._give_up)
        self._round(now)

    def _give_up(self, now: float) -> None:
        """Riders past their deadline leave, unless a unicorn is planned for them."""
        for ride_id, ride in list(self.waiting.items()):
            if ride.deadline_at <= instant(now) and ride_id not in self.plans:
                del self.waiting[ride_id]

    def _sweep(self, now: float) -> None:
        if self.waiting and now >= self._sweep_at:
            self._round(now)

    def _round(self, now: float) -> None:
        if not self.waiting:
            return
        fleet = [cab.entry(now) for cab in self.cabs.values() if cab.next_ride is None]
        rides, policy = list(self.waiting.values()), self.policy
        began = time.process_time()
        matching = match(
            rides, fleet, self.plans, instant(now), policy.tuning, self.travel, policy.remaining
        )
        self.rounds.append(time.process_time() - began)
        before, self.plans = self.plans, {plan.ride_id: plan for plan in matching.plans}
        for pairing in (*matching.claims, *matching.plans):
            old = before.get(pairing.ride_id)
            self.records[pairing.ride_id].swaps += (
                old is not None and old.unicorn_id != pairing.unicorn_id
            )
        for pairing in matching.claims:
            self._claim(pairing, now)
        if policy.firm:
            self._bind(matching.plans)
        self._give_up(now)
        self._sweep_at = now + SWEEP_SECONDS
        self._later(self._sweep_at, self._sweep)

    def _bind(self, plans: Iterable[Pairing]) -> None:
        for plan in plans:
            self.cabs[plan.unicorn_id].next_ride = plan.ride_id
            del self.waiting[plan.ride_id]
        self.plans = {}

    def _claim(self, pairing: Pairing, now: float) -> None:
        self.waiting.pop(pairing.ride_id, None)
        self._depart(self.cabs[pairing.unicorn_id], pairing.ride_id, now)

    def _depart(self, cab: Cab, ride_id: str, now: float) -> None:
        trip = self.trips[ride_id]
        cab.unicorn = cab.unicorn.reserved(ride_id, Trip(trip.pickup, trip.dropoff))
        crow = TRAVEL.crow_metres(cab.at, trip.pickup)
        self.records[ride_id].empty_metres = crow * TRAVEL.detour
        cab.since, cab.heading_for = now, trip.pickup
        cab.arrives = now + crow / TRAVEL.reach_metres(1)
        self._later(cab.arrives, partial(self._pick_up, cab, ride_id))

    def _pick_up(self, cab: Cab, ride_id: str, now: float) -> None:
        trip = self.trips[ride_id]
        self.records[ride_id].picked_up = now
        cab.unicorn = cab.unicorn.departed(ride_id, instant(now))
        cab.at, cab.heading_for = trip.pickup, None
        self._later(now + trip.seconds, partial(self._finish, cab, ride_id))

    def _finish(self, cab: Cab, ride_id: str, now: float) -> None:
        cab.unicorn = cab.unicorn.released(ride_id)
        cab.at, cab.since, cab.rides = self.trips[ride_id].dropoff, now, cab.rides + 1
        following, cab.next_ride = cab.next_ride, None
        if following:
            self._depart(cab, following, now)
        else:
            self._round(now)


def run(policy: Policy, trips: Sequence[NycTrip], unicorns: int, load: float, seed: int) -> World:
    """Simulate one night; the same seed gives every policy the same riders and unicorns."""
    rng = random.Random(seed)
    demand = thinned(trips, unicorns, load, rng)
    starts = [rng.choice(trips).dropoff for _ in range(unicorns)]
    return World(policy, demand, starts).run()


def _on_duty(unicorn_id: str) -> Unicorn:
    return Unicorn(
        unicorn_id=unicorn_id,
        name=unicorn_id,
        color="White",
        gender="Female",
        state=UnicornState.AVAILABLE,
        accepting=True,
    )
