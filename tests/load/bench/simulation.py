"""Simulates dispatch on New York demand: `python -m tests.load.bench.simulation --help`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from tests.load.bench import nyc
from tests.load.bench.outcome import Estimate, Outcome, summary
from tests.load.bench.picture import draw
from tests.load.bench.policies import COMPARISONS, FAIRNESS, OURS, POLICIES, REPOSITIONING, Policy
from tests.load.bench.world import run

LOADS = (0.50, 0.70, 0.85, 0.95)
FIRST_SEED = 1000
TABLES = {
    "policies": POLICIES,
    "comparisons": COMPARISONS,
    "fairness": FAIRNESS,
    "repositioning": REPOSITIONING,
}


COLUMNS = {
    "within_5": ("≤ 5 min %", 1),
    "within_10": ("≤ 10 min %", 1),
    "served": ("served %", 1),
    "wait_seconds": ("wait s", 0),
    "longest_waits_seconds": ("p95 s", 0),
    "worst_wait_seconds": ("worst s", 0),
    "empty_km": ("empty km", 3),
    "moved_km": ("moved km", 3),
    "total_km": ("total km", 3),
    "swaps": ("swaps", 2),
    "rides_spread": ("rides ±", 2),
    "idle_spread": ("idle ±", 2),
    "rounds": ("rounds", 0),
    "round_ms": ("ms/round", 2),
}
"""Field of `Outcome` → heading and digits."""

TARGETS = (
    (0.70, "within_5", 94.0, "at least"),
    (0.70, "empty_km", 0.40, "at most"),
    (0.85, "within_5", 79.5, "at least"),
    (0.85, "served", 98.0, "at least"),
    (0.85, "empty_km", 0.51, "at most"),
)
"""For 500 unicorns; met if the 95 % interval of our mean reaches the figure."""


JUDGED = frozenset(name for _, name, _, _ in TARGETS)


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    policy: Policy
    unicorns: int
    load: float
    is_shifted: bool = False
    """Whether it uses the second demand (`nyc.shifted`)."""


Results = dict[Case, dict[str, Estimate]]


@cache
def _trips(is_shifted: bool) -> Sequence[nyc.NycTrip]:
    return nyc.shifted(nyc.load()) if is_shifted else nyc.load()


def _outcome(case: Case, seed: int) -> Outcome:
    trips = _trips(case.is_shifted)
    return Outcome.of(run(case.policy, trips, case.unicorns, case.load, seed))


def simulate(
    cases: Sequence[Case], seeds: int, processes: int
) -> Iterator[tuple[Case, dict[str, Estimate]]]:
    """Run every case with the same seeds; yields each result as soon as it is there."""
    runs = [(case, FIRST_SEED + seed) for case, seed in product(cases, range(seeds))]
    with ProcessPoolExecutor(processes) as pool:
        outcomes = pool.map(_outcome, *zip(*runs, strict=True))
        for case in cases:
            yield case, summary([next(outcomes) for _ in range(seeds)])


def report(cases: Sequence[Case], seeds: int, processes: int) -> Results:
    """Print the table line by line, with interval and spread of each figure that has a target."""
    results: Results = {}
    group = None
    for case, estimates in simulate(cases, seeds, processes):
        if group != (case.unicorns, case.load):
            group = (case.unicorns, case.load)
            print(f"\n{case.unicorns} unicorns, load {case.load:.2f}")
            print(f"{'':28}" + "".join(f"{COLUMNS[name][0]:>{_width(name)}}" for name in COLUMNS))
        print(f"{case.policy.name:28}" + "".join(_cells(estimates)), flush=True)
        results[case] = estimates
    return results


def _cells(estimates: dict[str, Estimate]) -> Iterator[str]:
    for name, (_, digits) in COLUMNS.items():
        value = estimates[name]
        cell = f"{value.mean:.{digits}f}"
        if name in JUDGED:
            cell += f" ±{value.interval:.{digits}f} ({value.spread:.{digits}f})"
        yield f"{cell:>{_width(name)}}"


def _width(name: str) -> int:
    return 22 if name in JUDGED else 11


def judge(results: Results) -> None:
    """Print for each target whether it is met."""
    print()
    for load, name, figure, side in TARGETS:
        estimates = results.get(Case(OURS, 500, load))
        if estimates is None:
            continue
        value, sign = estimates[name], 1 if side == "at least" else -1
        if sign * value.mean >= sign * figure:
            verdict = "met"
        elif sign * (value.mean + sign * value.interval) >= sign * figure:
            verdict = "met within the interval"
        else:
            verdict = "MISSED"
        heading, digits = COLUMNS[name]
        print(
            f"load {load:.2f}, {heading}: {value.mean:.{digits}f} ±{value.interval:.{digits}f}, "
            f"{side} {figure:g}: {verdict}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unicorns", type=int, nargs="+", default=[500])
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="three seeds, two loads")
    parser.add_argument("--table", choices=TABLES, default="policies")
    parser.add_argument("--shifted", action="store_true", help="the second demand")
    parser.add_argument("--only", nargs="+", help="policies whose name contains one of these")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--picture", type=Path, help="write an SVG of the first fleet size here")
    options = parser.parse_args(arguments)
    if not nyc.FILE.exists():
        print(f"skipped: no data at {nyc.FILE}")
        return
    loads = (0.70, 0.85) if options.quick else sorted(options.loads)
    policies = [
        policy
        for policy in TABLES[options.table]
        if not options.only or any(part in policy.name for part in options.only)
    ]
    cases = [
        Case(p, n, load, options.shifted)
        for n, load, p in product(options.unicorns, loads, policies)
    ]
    seeds = 3 if options.quick else options.seeds
    trips = len(_trips(options.shifted))
    print(f"{trips} trips; mean of {seeds} seeds ±95 % interval (standard deviation)")
    results = report(cases, seeds, options.processes)
    judge(results)
    if options.picture:
        lines = {
            policy.name: [results[Case(policy, options.unicorns[0], load)] for load in loads]
            for policy in policies
        }
        options.picture.write_text(draw(lines, loads, options.unicorns[0]))


if __name__ == "__main__":
    main()
