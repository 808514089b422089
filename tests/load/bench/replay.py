"""Replays the peak of New York's first hour of 2013 against the running service, over HTTP.

Riders and unicorns are API clients with signed tokens. Time is compressed: `--compress 5` is five
times the rate of the peak, with unicorns five times as fast, and `--compress inf` sends requests as
fast as possible. All processes share the machine with the client and the emulated database, so the
rates are those of all together. The CPU per ride by process shows the service's own share, and a
process that uses a whole core is the bottleneck.

A replay prints nothing until its last rider is done: the longest trip takes 15 minutes divided by
the compression, and a rider who gets no unicorn waits three real minutes.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from tests.load.bench.city import City
from tests.load.bench.nyc import NycTrip, load, measured
from tests.load.bench.processes import cpu_seconds
from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.stack import Stack

HEADER = (
    f"{'replay':<12} {'rides':>6} {'matched':>8} {'done':>6} {'matched/s':>9}"
    f" {'p50 s':>7} {'p90 s':>7} {'p99 s':>7} {'late s':>7}"
)


PICKED_UP_SECONDS = 300.0
"""In New York's time."""
LONGEST_TRIP_SECONDS = 900.0
"""Longer trips (a quarter) are left out, because the run would last as long as they do."""


def peak(trips: Sequence[NycTrip], minutes: float) -> Sequence[NycTrip]:
    """The trips of the busiest `minutes` minutes within the measured time."""
    trips = [trip for trip in trips if trip.seconds <= LONGEST_TRIP_SECONDS]
    starts = sorted({trip.minute for trip in trips if measured(trip)})

    def within(start: float) -> list[NycTrip]:
        return [trip for trip in trips if start <= trip.minute < start + 60 * minutes]

    return max((within(start) for start in starts), key=len)


def spread(trips: Sequence[NycTrip], dice: random.Random) -> list[tuple[float, NycTrip]]:
    """Request times that begin at 0, with random seconds, because the file has minutes only."""
    first = min(trip.minute for trip in trips)
    return sorted(
        ((trip.minute - first + dice.uniform(0, 60), trip) for trip in trips),
        key=lambda request: request[0],
    )


class Usage:
    """CPU seconds by process since this object was made."""

    def __init__(self, stack: Stack) -> None:
        self._pids = {role: process.pid for role, process in stack.processes.items()}
        self._pids |= {
            "redis": stack.redis.process.pid,
            "emulated AWS": stack.ministack.process.pid,
        }
        self._begun, self._used = time.monotonic(), self._read()

    def print(self, rides: int) -> None:
        took = time.monotonic() - self._begun
        for role, used in self._read().items():
            seconds = used - self._used[role]
            share = 100 * seconds / took
            print(
                f"  {role:<14} {1e3 * seconds / rides:>8.2f} ms CPU a ride"
                f" {share:>6.0f} % of a core"
            )

    def _read(self) -> dict[str, float]:
        mine = {"client": time.process_time()}
        return {role: cpu_seconds(pid) for role, pid in self._pids.items()} | mine


def summary(name: str, city: City, rides: int) -> None:
    matched = [ride for ride in city.rides if ride["matched_at"]]
    p50, p90, p99 = np.quantile([waited(ride) for ride in matched], (0.5, 0.9, 0.99))
    took = max(at(ride, "matched") for ride in matched) - min(
        at(ride, "requested") for ride in matched
    )
    rate = len(matched) / took.total_seconds()
    print(
        f"{name:<12} {rides:>6} {len(matched):>8} {len(city.rides):>6} {rate:>9.1f}"
        f" {p50:>7.3f} {p90:>7.3f} {p99:>7.3f} {city.timetable.latest:>7.2f}"
    )
    if math.isfinite(city.compress):
        print(_pickups(city))
    print(f"  answers {dict(city.call.statuses)}, faults {city.faults[:3] or 'none'}")


def _pickups(city: City) -> str:
    """The results for riders who asked in the second half; advice begins five minutes after the
    first request.
    """
    requested = [at(ride, "requested") for ride in city.rides]
    first = min(requested) + (max(requested) - min(requested)) / 2
    late = [ride for ride in city.rides if at(ride, "requested") >= first]
    on_board = [ride for ride in late if ride["arrived_at"]]
    waits = [(at(ride, "arrived") - at(ride, "requested")).total_seconds() for ride in on_board]
    soon = sum(wait * city.compress <= PICKED_UP_SECONDS for wait in waits)
    metres = mean(city.pickup_metres[ride["ride_id"]] for ride in on_board)
    return (
        f"  second half, {len(late)} riders: {100 * soon / len(late):.1f} % picked up within five"
        f" minutes, {metres / 1000:.3f} km to the pickup;"
        f" {city.moved_metres / len(city.rides) / 1000:.3f} km a ride to where unicorns should wait"
    )


def waited(ride: Mapping[str, Any]) -> float:
    return (at(ride, "matched") - at(ride, "requested")).total_seconds()


def at(ride: Mapping[str, Any], what: str) -> datetime:
    return datetime.fromisoformat(ride[f"{what}_at"])


def thinned(trips: Sequence[NycTrip], share: float, seed: int) -> Sequence[NycTrip]:
    """A random part of the trips, the same in each run with this seed."""
    dice = random.Random(seed)
    return [trip for trip in trips if dice.random() < share]


def replay(
    stack: Stack, trips: Sequence[NycTrip], compress: float, options: argparse.Namespace
) -> None:
    dice = random.Random(options.seed)
    city = City(stack, compress, options.follow, until_boarding=options.until_boarding)
    city.enroll([dice.choice(trips).dropoff for _ in range(options.unicorns)])
    demand = spread(trips, dice)
    usage = Usage(stack)
    took = city.play(demand)
    summary(f"peak × {compress:g}", city, len(demand))
    usage.print(len(demand))
    print(f"  all riders were done after {took:.0f} s; {city.positions} positions were sent")
    city.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="replay")
    parser.add_argument("--compress", type=float, nargs="+", default=[2, 5])
    parser.add_argument("--minutes", type=float, default=5, help="of the peak")
    parser.add_argument("--unicorns", type=int, default=2500)
    parser.add_argument("--share", type=float, default=1.0, help="of the riders")
    parser.add_argument("--seed", type=int, default=3, help="of the riders and first places")
    parser.add_argument(
        "--until-boarding", action="store_true", help="end when the last rider is aboard"
    )
    parser.add_argument(
        "--follow", action="store_true", help="idle unicorns go where they are advised to wait"
    )
    options = parser.parse_args()
    trips = thinned(peak(load(), options.minutes), options.share, options.seed)
    print(HEADER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with MiniStack(folder / "aws") as ministack, RedisServer(folder / "redis") as redis:
            for compress in options.compress:
                limits = {"RATE_LIMIT_ENABLED": "false"}
                limits |= {"REPOSITION_SECONDS": "30" if options.follow else "0"}
                part = folder / f"{compress:g}"
                part.mkdir()
                with Stack(part, ministack, redis, **limits) as stack:
                    replay(stack, trips, compress, options)


if __name__ == "__main__":
    main()
