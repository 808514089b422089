"""What each way to estimate is worth in three worlds: `python -m tests.load.bench.worlds`.

In each world pickups take what that world's roads take, at that world's hour; trips take the time
they really took in New York. Rounds decide, and riders are told, by one of several estimates. What
is learned is learned during the run, from completed pickups only, starting from nothing.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from scipy.stats import t as student

from service.matching.correction import (
    AS_ESTIMATED,
    CorrectedTimes,
    Correction,
    Leg,
    drives_between,
    hour_of_week,
)
from service.matching.learning import learn
from service.matching.travel import FloatArray, GreatCircle, TravelTimes, places
from service.model import Location, Pairing
from tests.load.bench import nyc
from tests.load.bench.cabs import Cab
from tests.load.bench.nyc import MEASURED, NycTrip, thinned
from tests.load.bench.policies import OURS
from tests.load.bench.streets import FOLDER, HEAVY, LIGHT, streets, trips_on
from tests.load.bench.world import World

LOADS: Final = (0.70, 0.85)
FIRST_SEED: Final = 1000
FIT_SECONDS: Final = 60.0
LEGS_KEPT: Final = 4000


@dataclass
class LearningTimes:
    """What the service does with completed pickups: `base`, corrected by the latest fit."""

    base: TravelTimes
    correction: Correction = AS_ESTIMATED
    legs: list[Leg] = field(default_factory=list)

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return self._corrected().estimate(origins, destinations)

    def reach_metres(self, seconds: float) -> float:
        return self._corrected().reach_metres(seconds)

    def observe(
        self, unicorn_id: str, start: Location, end: Location, began: float, seconds: float
    ) -> None:
        origins, destinations = places([start]), places([end])
        drive = drives_between(origins, destinations, hour_of_week(began))
        self.legs.append(
            Leg(
                drive.origins[0],
                drive.destinations[0],
                float(drive.metres[0]),
                float(drive.bearings[0]),
                float(self.base.estimate(origins, destinations)[0][0]),
                began,
                seconds,
                unicorn_id,
            )
        )

    def fit(self, now: float) -> None:
        found = learn(self.legs[-LEGS_KEPT:], now, AS_ESTIMATED, self.correction)
        self.correction = found or self.correction

    def _corrected(self) -> CorrectedTimes:
        return CorrectedTimes(self.base, self.correction, hour_of_week(0.0))


@dataclass(frozen=True)
class Way:
    """A way to estimate; `learns` from the pickups of the run."""

    name: str
    base: Callable[[], TravelTimes]
    learns: bool = False

    def travel(self) -> TravelTimes:
        return LearningTimes(self.base()) if self.learns else self.base()


def _light() -> TravelTimes:
    return streets(LIGHT)


def _heavy() -> TravelTimes:
    return streets(HEAVY)


STRAIGHT = Way("straight line", GreatCircle)
STRAIGHT_LEARNED = Way("straight line, learned", GreatCircle, learns=True)
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
        self.travel = way.travel()
        self.roads = roads
        self.told: dict[str, tuple[float, float]] = {}
        """Of each ride with a unicorn: the pickup ETA at the claim, and what it took, seconds."""
        if isinstance(self.travel, LearningTimes):
            self._later(FIT_SECONDS, self._fit)

    def _fit(self, now: float) -> None:
        assert isinstance(self.travel, LearningTimes)
        self.travel.fit(now)
        self._later(now + FIT_SECONDS, self._fit)

    def _claim(self, pairing: Pairing, now: float) -> None:
        self.told[pairing.ride_id] = (float(pairing.pickup_eta_seconds), 0.0)
        super()._claim(pairing, now)

    def _depart(self, cab: Cab, ride_id: str, now: float) -> None:
        start, pickup = cab.at, self.riders[ride_id].trip.pickup
        seconds, metres = self.roads.estimate(places([start]), places([pickup]))
        rider, driven = self.riders[ride_id], self.riders[ride_id].empty_metres
        cab.depart(ride_id, rider, now)
        rider.empty_metres = driven + float(metres[0])
        cab.arrives = now + float(seconds[0])
        self.told[ride_id] = (self.told[ride_id][0], float(seconds[0]))
        self._later(cab.arrives, lambda at: self._arrive(cab, ride_id, start, now, at))

    def _arrive(self, cab: Cab, ride_id: str, start: Location, began: float, now: float) -> None:
        if isinstance(self.travel, LearningTimes):
            pickup = self.riders[ride_id].trip.pickup
            self.travel.observe(cab.unicorn.unicorn_id, start, pickup, began, now - began)
        self._pick_up(cab, ride_id, now)


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
        riders = {
            key: rider
            for key, rider in world.riders.items()
            if MEASURED[0] <= rider.requested < MEASURED[1]
        }
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


def _numbered(world: str, number: int, load: float, seed: int) -> Figures:
    return run(world, WORLDS[world][1][number], load, seed)


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
    options = parser.parse_args(arguments)
    if not FOLDER.exists():
        print(f"skipped: no streets at {FOLDER}")
        return
    _trips(True), streets(HEAVY)  # before the fork, so that all processes share the tables
    with ProcessPoolExecutor(options.processes) as pool:
        for world, load in product(options.worlds, options.loads):
            print(f"\n{world}, load {load:.2f}, 500 unicorns, {options.seeds} seeds")
            print(f"{'':30} {'≤ 5 min %':>12} {'gain':>12} {'served %':>8} {'wait s':>6}", end="")
            print(f" {'p95 s':>6} {'km':>7} {'told÷':>6} {'±20 %':>6}")
            ways = WORLDS[world][1]
            runs = [
                [
                    pool.submit(_numbered, world, number, load, FIRST_SEED + seed)
                    for seed in range(options.seeds)
                ]
                for number in range(len(ways))
            ]
            results = [[future.result() for future in row] for row in runs]
            for way, figures in zip(ways, results, strict=True):
                print(_line(way.name, figures, results[0]), flush=True)


if __name__ == "__main__":
    main()
