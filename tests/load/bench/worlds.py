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

from service.core.travel_times import NEW_YORK
from service.matching.travel import GreatCircle, TravelTimes
from service.model import RepositioningLevel
from tests.load.bench import nyc
from tests.load.bench.nyc import NycTrip, thinned
from tests.load.bench.outcome import Estimate, Outcome
from tests.load.bench.street_world import StreetWorld, Way
from tests.load.bench.streets import streets, trips_on
from tests.support.manhattan import ABSENT, FOLDER, HEAVY, LIGHT

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


Figures = Mapping[str, float]
"""The fields of an `Outcome`, the median of told ÷ real pickup time (`told`), and the percentage of
pickups whose real time was within 20 % of the time told (`within_20`)."""

MEANS: Final = {
    "served": ("served %", "8.1f"),
    "wait_seconds": ("wait s", "6.0f"),
    "longest_waits_seconds": ("p95 s", "6.0f"),
    "road_km": ("km", "7.3f"),
    "moved_km": ("moved", "7.3f"),
    "told": ("told÷", "6.2f"),
    "within_20": ("±20 %", "6.0f"),
}
"""Heading and format of the figures whose mean is shown, by name. Kilometres are those of roads."""


def _figures(night: StreetWorld) -> Figures:
    served = [key for key, r in night.riders.items() if r.counts and r.picked_up is not None]
    told, real = np.array([night.told[key] for key in served]).T
    return asdict(Outcome.of(night)) | {
        "told": float(np.median((told / np.maximum(real, 1.0))[real > 0])),
        "within_20": 100 * float(np.mean(np.abs(told - real) <= 0.2 * real)),
    }


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
    return _figures(night)


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
            key, known[key] = json.loads(line)
    missing = [each for each in runs if each.key not in known]
    with ProcessPoolExecutor(processes) as pool:
        for each, figures in zip(missing, pool.map(Run.figures, missing), strict=True):
            known[each.key] = figures
            if kept:
                with kept.open("a") as lines:
                    lines.write(json.dumps([each.key, figures]) + "\n")
    return known


def _interval(values: Sequence[float]) -> str:
    estimate = Estimate.of(values)
    return f"{estimate.mean:.1f} ±{estimate.interval:.1f}"


def _line(name: str, figures: Sequence[Figures], first: Sequence[Figures]) -> str:
    within_5, usual = ([each["within_5"] for each in nights] for nights in (figures, first))
    gain = [mine - theirs for mine, theirs in zip(within_5, usual, strict=True)]
    means = (
        f"{np.mean([each[field] for each in figures]):{form}}" for field, (_, form) in MEANS.items()
    )
    return f"{name:30} {_interval(within_5):>12} {_interval(gain):>12} {' '.join(means)}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="file that keeps the figures of each night")
    options = parser.parse_args(arguments)
    if not FOLDER.exists():
        print(f"skipped: {ABSENT}")
        return
    _trips(True), streets(HEAVY)  # before the fork, so that all processes share the tables
    for world, load in product(options.worlds, options.loads):
        seeds, ways = range(options.seeds), range(len(WORLDS[world][1]))
        # Seed by seed, so that an interrupted run has whole rows of the comparison.
        runs = [Run(world, load, seed, way) for seed in seeds for way in ways]
        known = _results(runs, options.keep, options.processes)
        print(f"\n{world}, load {load:.2f}, 500 unicorns, {options.seeds} seeds")
        heads = (f"{head:>{form[0]}}" for head, form in MEANS.values())
        print(f"{'':30} {'≤ 5 min %':>12} {'gain':>12} {' '.join(heads)}")
        by_way = [[known[Run(world, load, seed, way).key] for seed in seeds] for way in ways]
        for way, figures in zip(WORLDS[world][1], by_way, strict=True):
            print(_line(way.name, figures, by_way[0]), flush=True)


if __name__ == "__main__":
    main()
