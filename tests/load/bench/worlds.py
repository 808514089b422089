"""What each way to estimate is worth in three worlds: `python -m tests.load.bench.worlds`.

In each world pickups take what that world's roads take, at that world's hour; trips take the time
they really took in New York. Rounds decide, and riders are told, by one of several estimates. What
is learned is learned during the run, from completed pickups only, starting from nothing.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import t as student

from service.core.learning import learn_from_legs
from service.core.times import NEW_YORK, ZoneTimes, ended_drive
from service.matching.correction import AS_ESTIMATED, Correction, Kind, Leg
from service.matching.match import Matching, match
from service.matching.travel import GreatCircle, TravelTimes, places
from service.model import FleetEntry, Location, Pairing, Ride, RideStatus
from service.stores.redis.legs import MOST_LEGS
from tests.load.bench import nyc
from tests.load.bench.cabs import Cab, Rider, instant
from tests.load.bench.nyc import MEASURED, NycTrip, thinned
from tests.load.bench.policies import OURS
from tests.load.bench.streets import FOLDER, HEAVY, LIGHT, streets, trips_on
from tests.load.bench.world import World

LOADS: Final = (0.70, 0.85)
FIT_SECONDS: Final = 60.0
"""As in the service."""
ROUND_SECONDS: Final = 2.0
ZONE: Final = "manhattan"


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


@dataclass(frozen=True)
class Way:
    """A way to estimate; `learns` from the rides of the run."""

    name: str
    base: Callable[[], TravelTimes]
    prior: Correction = AS_ESTIMATED
    learns: bool = False


def _light() -> TravelTimes:
    return streets(LIGHT)


def _heavy() -> TravelTimes:
    return streets(HEAVY)


STRAIGHT = Way("straight line", GreatCircle)
STRAIGHT_LEARNED = Way("straight line, learned", GreatCircle, NEW_YORK, learns=True)
WORLDS: Final[dict[str, tuple[Callable[[], TravelTimes], tuple[Way, ...]]]] = {
    "straight lines": (GreatCircle, (STRAIGHT, STRAIGHT_LEARNED)),
    "streets, light traffic": (
        _light,
        (STRAIGHT, STRAIGHT_LEARNED, Way("exact streets", _light)),
    ),
    "streets, heavy traffic": (
        _heavy,
        (
            STRAIGHT,
            STRAIGHT_LEARNED,
            Way("engine, light traffic's times", _light),
            Way("the same, learned", _light, learns=True),
            Way("exact streets", _heavy),
        ),
    ),
}
"""Name → what happens, and the ways to estimate that are compared in it."""


class StreetWorld(World):
    """The simulated night with other roads below it."""

    def __init__(
        self,
        way: Way,
        roads: TravelTimes,
        demand: Sequence[tuple[float, NycTrip]],
        starts: Sequence[Location],
    ) -> None:
        super().__init__(OURS, demand, starts)
        self.memory = Memory(way)
        self.times = self.memory.times
        self.roads = roads
        self.told: dict[str, tuple[float, float]] = {}
        """Of each ride with a unicorn: the pickup ETA at the claim, and what it took, seconds."""
        self._round_at, self._has_next = 0.0, False
        if way.learns:
            self._later(FIT_SECONDS, self._fit)

    def run(self) -> World:
        """The night until the last rider who counts is on board or gone."""
        while self._events and (self._events[0][0] < MEASURED[1] or self._somebody_counts()):
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        return self

    def _rounds(self, now: float) -> None:
        """At most every two seconds: a third of the CPU, and as in the issue's prototype."""
        if now >= self._round_at:
            self._round_at, self._has_next = now + ROUND_SECONDS, False
            super()._rounds(now)
        elif not self._has_next:
            self._has_next = True
            self._later(self._round_at, self._rounds)

    def _somebody_counts(self) -> bool:
        on_the_way = (cab.unicorn.ride_id for cab in self.cabs.values() if cab.heading_for)
        open_rides = {*self.waiting, *on_the_way}
        return any(_counts(self.riders[name]) for name in open_rides if name)

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
        travel = self.times.deciding(ZONE, at)
        return match(rides, fleet, before, at, tuning, travel, remaining, trips)

    def _claim(self, pairing: Pairing, now: float) -> None:
        cab, trip = self.cabs[pairing.unicorn_id], self.riders[pairing.ride_id].trip
        factors = self.times.told_of_decided(
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
        cab.arrives = now + float(seconds[0])
        self.told[ride_id] = self.told[ride_id][0], float(seconds[0])
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


@dataclass(frozen=True)
class Figures:
    """What one run came to; shares are percent."""

    within_5: float
    served: float
    wait: float
    wait_95: float
    km: float
    told: float
    """Median of told ÷ real pickup time."""
    within_20: float
    """Share of pickups whose real time was within 20 % of what was told."""

    @classmethod
    def of(cls, world: StreetWorld) -> Figures:
        riders = {key: rider for key, rider in world.riders.items() if _counts(rider)}
        served = {key: rider for key, rider in riders.items() if rider.picked_up is not None}
        waits = np.array([r.picked_up - r.requested for r in served.values() if r.picked_up])
        told, real = np.array([world.told[key] for key in served]).T
        apart = np.abs(told - real) <= 0.2 * real
        return cls(
            within_5=100 * float(np.sum(waits <= 300)) / len(riders),
            served=100 * len(served) / len(riders),
            wait=float(waits.mean()),
            wait_95=float(np.quantile(waits, 0.95)),
            km=sum(r.empty_metres for r in served.values()) / len(served) / 1000,
            told=float(np.median((told / np.maximum(real, 1.0))[real > 0])),
            within_20=100 * float(apart.mean()),
        )


def _counts(rider: Rider) -> bool:
    return MEASURED[0] <= rider.requested < MEASURED[1]


@cache
def _trips(on_streets: bool) -> Sequence[NycTrip]:
    return trips_on(streets(LIGHT), nyc.load()) if on_streets else nyc.load()


def run(world: str, way: Way, load: float, seed: int, unicorns: int = 500) -> Figures:
    """One night; the same seed gives every way the same riders and unicorns."""
    roads = WORLDS[world][0]()
    trips = _trips(world != "straight lines")
    rng = random.Random(seed)
    demand = thinned(trips, unicorns, load, rng)
    starts = [rng.choice(trips).dropoff for _ in range(unicorns)]
    night = StreetWorld(way, roads, demand, starts)
    night.run()
    return Figures.of(night)


@dataclass(frozen=True)
class Run:
    """One night of the table."""

    world: str
    load: float
    seed: int
    number: int
    """Of the way among those of the world."""

    @property
    def key(self) -> str:
        way = WORLDS[self.world][1][self.number]
        return f"{self.world}; {self.load}; {self.seed}; {way.name}"

    def figures(self) -> Figures:
        return run(self.world, WORLDS[self.world][1][self.number], self.load, self.seed)


def _results(runs: Sequence[Run], kept: Path | None, processes: int) -> Mapping[str, Figures]:
    """Figures by key. Those in the file are taken from there; the others are added to it."""
    known = dict[str, Figures]()
    if kept and kept.exists():
        for line in kept.read_text().splitlines():
            key, figures = json.loads(line)
            known[key] = Figures(**figures)
    missing = [each for each in runs if each.key not in known]
    with ProcessPoolExecutor(processes) as pool:
        for each, figures in zip(missing, pool.map(Run.figures, missing), strict=True):
            known[each.key] = figures
            if kept:
                with kept.open("a") as lines:
                    lines.write(json.dumps([each.key, asdict(figures)]) + "\n")
    return known


def _interval(values: Sequence[float]) -> str:
    """Mean and half width of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.1f} ±{half:.1f}"


def _line(name: str, figures: Sequence[Figures], first: Sequence[Figures]) -> str:
    def mean(value: Callable[[Figures], float]) -> float:
        return float(np.mean([value(f) for f in figures]))

    gain = [f.within_5 - g.within_5 for f, g in zip(figures, first, strict=True)]
    return (
        f"{name:30} {_interval([f.within_5 for f in figures]):>12} {_interval(gain):>12}"
        f" {mean(lambda f: f.served):8.1f} {mean(lambda f: f.wait):6.0f}"
        f" {mean(lambda f: f.wait_95):6.0f} {mean(lambda f: f.km):7.3f}"
        f" {mean(lambda f: f.told):6.2f} {mean(lambda f: f.within_20):6.0f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="file that keeps the figures of each night")
    options = parser.parse_args(arguments)
    if not FOLDER.exists():
        print(f"skipped: no streets at {FOLDER}")
        return
    _trips(True), streets(HEAVY)  # before the fork, so that all processes share the tables
    for world, load in product(options.worlds, options.loads):
        seeds, ways = range(options.seeds), range(len(WORLDS[world][1]))
        # Seed by seed, so that an interrupted run has whole rows of the comparison.
        runs = [Run(world, load, seed, way) for seed in seeds for way in ways]
        known = _results(runs, options.keep, options.processes)
        print(f"\n{world}, load {load:.2f}, 500 unicorns, {options.seeds} seeds")
        print(f"{'':30} {'≤ 5 min %':>12} {'gain':>12} {'served %':>8} {'wait s':>6}", end="")
        print(f" {'p95 s':>6} {'km':>7} {'told÷':>6} {'±20 %':>6}")
        by_way = [[known[Run(world, load, seed, way).key] for seed in seeds] for way in ways]
        for way, figures in zip(WORLDS[world][1], by_way, strict=True):
            print(_line(way.name, figures, by_way[0]), flush=True)


if __name__ == "__main__":
    main()
