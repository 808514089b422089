"""Compares ways to estimate travel times in three worlds: `python -m tests.load.bench.worlds`.

In each world the drive to a pickup takes as long as on that world's roads at that world's hour;
trips take the time that they really took in New York. Rounds, and the times that riders are told,
use one of several estimates. An estimate that learns begins with nothing and learns during the run,
from completed pickups only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import t as student

from service.core.travel_times import NEW_YORK
from service.matching.travel import GreatCircle, TravelTimes
from service.model import RepositioningLevel
from tests.load.bench import nyc
from tests.load.bench.nyc import NycTrip, thinned
from tests.load.bench.street_world import StreetWorld, Way, counts
from tests.load.bench.streets import FOLDER, HEAVY, LIGHT, streets, trips_on

LOADS: Final = (0.70, 0.85)


def _light() -> TravelTimes:
    return streets(LIGHT)


def _heavy() -> TravelTimes:
    return streets(HEAVY)


STRAIGHT = Way("straight line", GreatCircle)
STRAIGHT_LEARNED = Way("straight line, learned", GreatCircle, NEW_YORK, learns=True)
ENGINE_LEARNED = Way("the same, learned", _light, learns=True)


def _lean(way: Way, name: str) -> Way:
    return replace(way, name=name, level=RepositioningLevel.LEAN)


STRAIGHT_LEAN = _lean(STRAIGHT, "straight line, lean")
LEARNED_LEAN = _lean(STRAIGHT_LEARNED, "straight line, learned, lean")
WORLDS: Final[dict[str, tuple[Callable[[], TravelTimes], tuple[Way, ...]]]] = {
    "straight lines": (GreatCircle, (STRAIGHT, STRAIGHT_LEARNED, STRAIGHT_LEAN, LEARNED_LEAN)),
    "streets, light traffic": (
        _light,
        (STRAIGHT, STRAIGHT_LEARNED, Way("exact streets", _light), STRAIGHT_LEAN, LEARNED_LEAN),
    ),
    "streets, heavy traffic": (
        _heavy,
        (
            STRAIGHT,
            STRAIGHT_LEARNED,
            Way("engine, light traffic's times", _light),
            ENGINE_LEARNED,
            Way("exact streets", _heavy),
            STRAIGHT_LEAN,
            LEARNED_LEAN,
            _lean(ENGINE_LEARNED, "engine, learned, lean"),
            replace(
                ENGINE_LEARNED, name="engine, learned, strong", level=RepositioningLevel.STRONG
            ),
        ),
    ),
}
"""The worlds by name, each with the ways to estimate that are compared in it."""


@dataclass(frozen=True)
class Figures:
    """The results of one run; shares are percent."""

    within_5: float
    served: float
    wait: float
    wait_95: float
    km: float
    """Road kilometres to the pickup per served ride."""
    told: float
    """Median of told ÷ real pickup time."""
    within_20: float
    """Share of pickups whose real time was within 20 % of the time told."""
    moved_km: float = 0.0
    """Road kilometres to where idle unicorns should wait, per served ride."""

    @classmethod
    def of(cls, world: StreetWorld) -> Figures:
        riders = {key: rider for key, rider in world.riders.items() if counts(rider)}
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
            moved_km=world.moved_metres / len(served) / 1000,
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


@dataclass(frozen=True)
class Run:
    """One night of the table."""

    world: str
    load: float
    seed: int
    number: int
    """The number of the way among those of the world."""

    @property
    def key(self) -> str:
        way = WORLDS[self.world][1][self.number]
        return f"{self.world}; {self.load}; {self.seed}; {way.name}"

    def figures(self) -> Figures:
        return run(self.world, WORLDS[self.world][1][self.number], self.load, self.seed)


def _results(runs: Sequence[Run], kept: Path | None, processes: int) -> Mapping[str, Figures]:
    """The figures by key. Figures that the file has are read from it; the others are computed and
    added to it.
    """
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
        f" {mean(lambda f: f.moved_km):7.3f}"
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
        print(f" {'p95 s':>6} {'km':>7} {'moved':>7} {'told÷':>6} {'±20 %':>6}")
        by_way = [[known[Run(world, load, seed, way).key] for seed in seeds] for way in ways]
        for way, figures in zip(WORLDS[world][1], by_way, strict=True):
            print(_line(way.name, figures, by_way[0]), flush=True)


if __name__ == "__main__":
    main()
