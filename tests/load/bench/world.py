"""A simulated city with real demand and real trip times, dispatched by the code of the service.

Rounds run as in the service: at once when a rider comes or a unicorn becomes free, and every few
seconds (the sweep) while a rider waits. Rounds decide by estimates; trips take the time that they
really took.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

import h3

from service.matching.match import Matching, match
from service.model import FleetEntry, Location, Pairing, Ride
from tests.load.bench.cabs import Cab, Rider, instant
from tests.load.bench.moving import STEP_SECONDS, Herding
from tests.load.bench.nearest import nearest
from tests.load.bench.nyc import MEASURED, NycTrip, thinned
from tests.load.bench.policies import Policy

PATIENCE_SECONDS = 180.0
SWEEP_SECONDS = 4.0
DECLINE_SECONDS = 10.0
END = 3300.0


class World:
    """One night with a fleet, a demand and a policy."""

    def __init__(
        self, policy: Policy, demand: Sequence[tuple[float, NycTrip]], starts: Sequence[Location]
    ) -> None:
        self.policy = policy
        self.travel = policy.travel(trip for _, trip in demand)
        self.riders: dict[str, Rider] = {}
        self.waiting: dict[str, Ride] = {}
        self.claimed: dict[str, Ride] = {}
        self.plans: dict[str, Pairing] = {}
        self.cabs = {f"u{n:05}": Cab.on_duty(f"u{n:05}", at) for n, at in enumerate(starts)}
        self.rounds: list[float] = []
        """CPU seconds of each round."""
        self.moved_metres = 0.0
        """Straight-line metres that idle unicorns drove to where they should wait, in the measured
        time."""
        self.herding = Herding(policy.moves, policy.obedience) if policy.moves else None
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._sweep_at = 0.0
        for number, (at, trip) in enumerate(demand):
            self._later(at, partial(self._request, f"r{number:05}", trip))
        if self.herding:
            self._later(STEP_SECONDS, self._reposition)

    def run(self, until: float = END) -> World:
        while self._events and self._events[0][0] < until:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self

    def _later(self, at: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), happen))

    def _request(self, ride_id: str, trip: NycTrip, now: float) -> None:
        self.riders[ride_id] = Rider(trip, now)
        at = trip.pickup
        if self.herding:
            self.herding.note_request(at, now)
        self.waiting[ride_id] = Ride(
            ride_id=ride_id,
            rider_id=ride_id,
            pickup=at,
            dropoff=trip.dropoff,
            zone=h3.latlng_to_cell(at.latitude, at.longitude, self.policy.zone_resolution),
            requested_at=instant(now),
            deadline_at=instant(now + PATIENCE_SECONDS),
            due_at=None,
        )
        self._later(now + PATIENCE_SECONDS, self._give_up)
        self._rounds(now)

    def _give_up(self, now: float) -> None:
        """Remove riders past their deadline, unless a unicorn is planned for them."""
        for ride_id, ride in list(self.waiting.items()):
            if ride.deadline_at <= instant(now) and ride_id not in self.plans:
                del self.waiting[ride_id]

    def _sweep(self, now: float) -> None:
        if now >= self._sweep_at:
            self._rounds(now)

    def _rounds(self, now: float) -> None:
        if not self.waiting:
            return
        if self.policy.reassigns:
            self._recall(now)
        for zone in sorted({ride.zone for ride in self.waiting.values()}):
            self._round([ride for ride in self.waiting.values() if ride.zone == zone], now)
        self._give_up(now)
        self._sweep_at = now + SWEEP_SECONDS
        self._later(self._sweep_at, self._sweep)

    def _recall(self, now: float) -> None:
        """Let rounds send unicorns elsewhere that drive to a pickup; the rider keeps a plan."""
        for name, cab in self.cabs.items():
            if cab.heading_for and cab.arrives > now and cab.unicorn.ride_id:
                ride_id = cab.unicorn.ride_id
                cab.stop(ride_id, self.riders[ride_id], now)
                self.waiting[ride_id] = self.claimed.pop(ride_id)
                self.plans[ride_id] = Pairing(ride_id, name, 0, 0)

    def _round(self, rides: Sequence[Ride], now: float) -> None:
        fleet = [cab.entry(now) for cab in self.cabs.values() if cab.unbound]
        before = {r.ride_id: self.plans.pop(r.ride_id) for r in rides if r.ride_id in self.plans}
        knobs, at = self.policy, instant(now)
        began = time.process_time()
        if knobs.greedy:
            matching = nearest(rides, fleet, at, knobs.tuning, self.travel)
        else:
            matching = self._match(rides, fleet, before, now)
        self.rounds.append(time.process_time() - began)
        for pairing in (*matching.claims, *matching.plans):
            planned = before.get(pairing.ride_id, pairing)
            self.riders[pairing.ride_id].swaps += planned.unicorn_id != pairing.unicorn_id
        for pairing in matching.claims:
            self._claim(pairing, now)
        if knobs.firm:
            self._bind(matching.plans)
        else:
            self.plans.update((plan.ride_id, plan) for plan in matching.plans)

    def _match(
        self,
        rides: Sequence[Ride],
        fleet: Sequence[FleetEntry],
        before: Mapping[str, Pairing],
        now: float,
    ) -> Matching:
        """The pairs of a round; `before`: the plans of the last round."""
        knobs, at = self.policy, instant(now)
        return match(rides, fleet, before, at, knobs.tuning, self.travel, knobs.remaining)

    def _bind(self, plans: Iterable[Pairing]) -> None:
        for plan in plans:
            self.cabs[plan.unicorn_id].next_ride = plan.ride_id
            del self.waiting[plan.ride_id]

    def _claim(self, pairing: Pairing, now: float) -> None:
        cab, ride = self.cabs[pairing.unicorn_id], self.waiting.pop(pairing.ride_id)
        self.claimed[ride.ride_id] = ride
        taste = random.Random(f"{ride.ride_id} {pairing.unicorn_id}").random()
        if taste >= self.policy.declines:
            return self._depart(cab, ride.ride_id, now)
        cab.offered = True
        self._later(now + DECLINE_SECONDS, partial(self._decline, cab, ride))

    def _decline(self, cab: Cab, ride: Ride, now: float) -> None:
        cab.offered = False
        declined = {cab.unicorn.unicorn_id} if self.policy.remembers else frozenset[str]()
        self.waiting[ride.ride_id] = replace(ride, excluded=ride.excluded | declined)
        self._rounds(now)

    def _depart(self, cab: Cab, ride_id: str, now: float) -> None:
        self._halt(cab, now)
        cab.depart(ride_id, self.riders[ride_id], now, self._slowness(ride_id, cab))
        self._later(cab.arrives, partial(self._pick_up, cab, ride_id))

    def _reposition(self, now: float) -> None:
        """Run repositioning every half minute, for each zone separately, as the service does."""
        assert self.herding
        fleet = [cab.entry(now) for cab in self.cabs.values() if cab.unbound]
        planned = {plan.unicorn_id for plan in self.plans.values()}
        targets = self._advise(fleet, planned, now)
        for name, cab in self.cabs.items():
            if not cab.unicorn.can_take_a_ride or not self.herding.obeys(name):
                continue
            if target := targets.get(name):
                self._move(cab, target, now)
            else:
                self._halt(cab, now)
        self._later(now + STEP_SECONDS, self._reposition)

    def _advise(
        self, fleet: Sequence[FleetEntry], planned: Collection[str], now: float
    ) -> Mapping[str, Location]:
        """The place where each idle unicorn should wait, by unicorn id."""
        assert self.herding
        travel = self.travel
        return self.herding.step(fleet, planned, now, travel, self.policy.remaining, travel)

    def _move(self, cab: Cab, target: Location, now: float) -> None:
        """Send the unicorn to the place where it should wait."""
        self._drove(cab.move(target, now, self._slowness(f"{target}", cab)), now)

    def _halt(self, cab: Cab, now: float) -> None:
        self._drove(cab.halt(now), now)

    def _drove(self, metres: float, now: float) -> None:
        if MEASURED[0] <= now < MEASURED[1]:
            self.moved_metres += metres

    def _slowness(self, drive: str, cab: Cab) -> float:
        """The real time of a drive ÷ its estimate, drawn once for each drive of each unicorn."""
        spread = self.policy.scatter
        return random.Random(f"{drive} {cab.unicorn.unicorn_id}").uniform(1 - spread, 1 + spread)

    def _pick_up(self, cab: Cab, ride_id: str, now: float) -> None:
        if cab.heading_for is None or cab.arrives != now:
            return  # sent elsewhere meanwhile
        rider = self.riders[ride_id]
        cab.pick_up(ride_id, rider, now)
        self._later(now + rider.trip.seconds, partial(self._finish, cab, ride_id))

    def _finish(self, cab: Cab, ride_id: str, now: float) -> None:
        cab.finish(ride_id, self.riders[ride_id], now)
        following, cab.next_ride = cab.next_ride, None
        if following:
            self._depart(cab, following, now)
        else:
            self._rounds(now)


def run(policy: Policy, trips: Sequence[NycTrip], unicorns: int, load: float, seed: int) -> World:
    """Simulate one night; the same seed gives every policy the same riders and unicorns."""
    rng = random.Random(seed)
    demand = thinned(trips, unicorns, load, rng)
    starts = [rng.choice(trips).dropoff for _ in range(unicorns)]
    return World(policy, demand, starts).run()
