"""Kills every process in turn and checks that no ride is lost: `python -m tests.load.chaos [--seed
N] …`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.load.chaos import endurance, evidence, report, timing
from tests.load.chaos.checker import Violation, check
from tests.load.chaos.run import run
from tests.load.chaos.schedule import draw


def main() -> int:
    given = _arguments()
    if given.check:
        return _judge(given.check)
    # The processes of the run have working directories of their own.
    folder = given.folder.resolve() / f"seed-{given.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    schedule = draw(given.seed, given.rides, given.minutes * 60, given.fleet, advises=given.advice)
    print(f"seed {given.seed}: {given.rides} rides in {given.minutes:g} min", flush=True)
    bad = _judge(run(schedule, folder))
    lines, good = endurance.measure(folder / "endurance")
    print(*lines, sep="\n")
    return bad or int(not good)


def _judge(path: Path) -> int:
    found = evidence.read(path)
    violations = check(found)
    violations += [Violation("late_rides", detail) for detail in timing.late_rides(found)]
    print(*report.lines(found, violations), sep="\n")
    print(f"history: {path}")
    return 1 if violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of arrivals and faults")
    parser.add_argument("--rides", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=7.0, help="in which they arrive")
    parser.add_argument("--fleet", type=int, default=42, help="how many unicorns")
    parser.add_argument(
        "--advice", action="store_true", help="send idle unicorns to where riders are expected"
    )
    parser.add_argument("--folder", type=Path, default=Path(".local/chaos"))
    parser.add_argument("--check", type=Path, help="judge this history again, run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
