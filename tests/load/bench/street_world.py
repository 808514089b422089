"""A simulated night on real streets, where `World` has straight lines.

The drive to a pickup takes as long as on the streets, and unicorns drive along them, crossing by
crossing, to where they should wait. Trips take the time that they really took in New York. Rounds,
and the times that riders are told, use the estimates of a `Way`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import compress
from typing import Final

from service.core.learning import learn_from_legs
from service.core.legs import ended_drive
from service.core.travel_times import ZoneTimes
from service.matching.correction import AS_ESTIMATED, Correction, Kind, Leg
from service.matching.match import Matching, match
from service.matching.travel import GreatCircle, TravelTimes, places
from service.matching.tuning import KNOBS, tuning_with_repositioning
from service.model import FleetEntry, Location, Pairing, RepositioningLevel, Ride, RideStatus
from service.stores.redis.legs import MOST_LEGS
from tests.load.bench.cabs import Cab, instant
from tests.load.bench.nyc import MEASURED, NycTrip
from tests.load.bench.policies import OURS, Policy
from tests.load.bench.streets import Streets
from tests.load.bench.world import World

FIT_SECONDS: Final = 60.0
"""As in the service."""
ROUND_SECONDS: Final = 2.0
ZONE: Final = "manhattan"


@dataclass(frozen=True)
class Way:
    """A way to estimate travel times; `learns`: whether it learns from the rides of the run."""

    name: str
    base: Callable[[], TravelTimes]
    prior: Correction = AS_ESTIMATED
    learns: bool = False
    level: RepositioningLevel = RepositioningLevel.OFF
    """The level of repositioning."""

    @property
    def policy(self) -> Policy:
        tuning = tuning_with_repositioning(OURS.tuning, self.level)
        return replace(OURS, tuning=tuning, moves=KNOBS.get(self.level))


class Memory:
    """What a zone remembers of its legs, and the `Corrections` that the service's job learns."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._base = way.base()
        self._legs: dict[Kind, list[Leg]] = {kind: [] for kind in Kind}
        self._learned: dict[Kind, Correction] = {}
        self.times = ZoneTimes(self._base, self, way.prior)

    def of(self, zone: str, kind: Kind) -> Correction | None:
        return self._learned.get(kind)

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        self._learned[kind] = correction

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        return self._legs[kind][-MOST_LEGS:]

    def zones(self) -> Sequence[str]:
        return [ZONE]

    def observe(self, ride: Ride) -> None:
        """A ride has taken a step."""
        if self._way.learns and (drive := ended_drive(ride)):
            self._legs[drive.kind].append(drive.leg(self._base))

    def fit(self, now: datetime) -> None:
        learn_from_legs(self, self, self._way.prior, now)


class StreetWorld(World):
    """The simulated night on real streets."""

    def __init__(
        self,
        way: Way,
        roads: TravelTimes,
        demand: Sequence[tuple[float, NycTrip]],
        starts: Sequence[Location],
    ) -> None:
        super().__init__(way.policy, demand, starts)
        self.memory = Memory(way)
        self.times = self.memory.times
        self.roads = roads
        self.there: dict[str, float] = {}
        """When each stopped unicorn reaches the crossing at which the fleet index places it."""
        self.told: dict[str, tuple[float, float]] = {}
        """For each ride with a unicorn: the pickup ETA that was told at the claim and the real
        time, in seconds."""
        self._round_at, self._has_next = 0.0, False
        if way.learns:
            self._later(FIT_SECONDS, self._fit)

    def run(self) -> World:
        """Run the night until the last rider of the measured time is on board or gone."""
        while self._events and (self._events[0][0] < MEASURED[1] or self._somebodycounts()):
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self

    def _rounds(self, now: float) -> None:
        """Run a round at most every two seconds, which takes a third of the CPU."""
        if now >= self._round_at:
            self._round_at, self._has_next = now + ROUND_SECONDS, False
            super()._rounds(now)
        elif not self._has_next:
            self._has_next = True
            self._later(self._round_at, self._rounds)

    def _somebodycounts(self) -> bool:
        on_the_way = (cab.unicorn.ride_id for cab in self.cabs.values() if cab.heading_for)
        open_rides = {*self.waiting, *on_the_way}
        return any(self.riders[name].counts for name in open_rides if name)

    def _fit(self, now: float) -> None:
        self.memory.fit(instant(now))
        self._later(now + FIT_SECONDS, self._fit)

    def _match(
        self,
        rides: Sequence[Ride],
        fleet: Sequence[FleetEntry],
        before: Mapping[str, Pairing],
        now: float,
    ) -> Matching:
        at, tuning = instant(now), self.policy.tuning
        trips, remaining = self.times.trips(ZONE, at)
        travel = self.times.for_pairing(ZONE, at)
        return match(rides, fleet, before, at, tuning, travel, remaining, trips)

    def _advise(
        self, fleet: Sequence[FleetEntry], planned: Collection[str], now: float
    ) -> Mapping[str, Location]:
        assert self.herding
        at = instant(now)
        trips, remaining = self.times.straight_trips(ZONE, at)
        travel = self.times.straight(ZONE, at)
        targets = self.herding.step(fleet, planned, now, travel, remaining, trips)
        if isinstance(self.times.base, GreatCircle) or not targets:
            return targets
        starts = (self.cabs[name].entry(now).position for name in targets)
        drives, _ = self.times.base.estimate(
            places(start.location for start in starts if start), places(targets.values())
        )
        is_near = drives <= self.herding.knobs.longest_drive_seconds
        return dict(compress(targets.items(), is_near.tolist()))

    def _move(self, cab: Cab, target: Location, now: float) -> None:
        self._halt(cab, now)
        name = cab.unicorn.unicorn_id
        cab.move(target, now)
        if isinstance(self.roads, Streets):
            begins = max(now, self.there.get(name, now))
            cab.follow([(begins + after, at) for after, at in self.roads.way(cab.at, target)])

    def _halt(self, cab: Cab, now: float) -> None:
        """Stop at the next crossing."""
        if cab.moving:
            start = cab.at
            self.there[cab.unicorn.unicorn_id] = cab.next_crossing_at(now)
            cab.halt(now)
            _, metres = self.roads.estimate(places([start]), places([cab.at]))
            self._drove(float(metres[0]), now)

    def _claim(self, pairing: Pairing, now: float) -> None:
        cab, trip = self.cabs[pairing.unicorn_id], self.riders[pairing.ride_id].trip
        self._halt(cab, now)
        factors = self.times.rider_factors(
            ZONE, places([cab.at]), places([trip.pickup]), instant(now)
        )
        self.told[pairing.ride_id] = pairing.pickup_eta_seconds * float(factors[0]), 0.0
        super()._claim(pairing, now)

    def _depart(self, cab: Cab, ride_id: str, now: float) -> None:
        rider, ride = self.riders[ride_id], self.claimed[ride_id]
        seconds, metres = self.roads.estimate(places([cab.at]), places([rider.trip.pickup]))
        driven, unicorn = rider.empty_metres, cab.unicorn.seen_by_rider(cab.at)
        self.claimed[ride_id] = replace(ride, unicorn=unicorn, matched_at=instant(now))
        cab.depart(ride_id, rider, now)
        rider.empty_metres = driven + float(metres[0])
        cab.arrives = max(now, self.there.pop(cab.unicorn.unicorn_id, now)) + float(seconds[0])
        self.told[ride_id] = self.told[ride_id][0], cab.arrives - now
        self._later(cab.arrives, partial(self._pick_up, cab, ride_id))

    def _pick_up(self, cab: Cab, ride_id: str, now: float) -> None:
        at, started = instant(now), RideStatus.IN_PROGRESS
        ride = replace(self.claimed[ride_id], status=started, reached_at=at, started_at=at)
        self.claimed[ride_id] = ride
        self.memory.observe(ride)
        super()._pick_up(cab, ride_id, now)

    def _finish(self, cab: Cab, ride_id: str, now: float) -> None:
        ride = self.claimed.pop(ride_id)
        self.memory.observe(replace(ride, status=RideStatus.COMPLETED, completed_at=instant(now)))
        super()._finish(cab, ride_id, now)
