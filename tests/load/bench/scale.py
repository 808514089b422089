"""Measures how the cost of a round grows with the fleet: `python -m tests.load.bench.scale`.

Counts the work of a round that is not the database's: the search in the fleet index (a real Redis,
whose own CPU counts too) and the pairing. It runs once at constant density, where the city grows
with the fleet, and once in a city of constant area.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import cast

from redis import Redis

from service.matching.match import match
from service.matching.remaining import RemainingTime
from service.matching.travel import GreatCircle
from service.matching.tuning import Tuning
from service.model import Location, Position, Ride
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from tests.load.bench.assignment import NOW
from tests.load.bench.cabs import Cab
from tests.support.builders import a_ride
from tests.support.infrastructure import RedisServer

FLEETS = (100, 1000, 10_000, 100_000)
WAITING = 20
ROUNDS = 25
CENTRE = Location(40.75, -73.98)
AREA_OF_1000 = 0.126
"""Side, degrees, of the city of constant area: at 1,000 unicorns it is as dense as the others."""
TUNING, TRAVEL, REMAINING = Tuning(), GreatCircle(), RemainingTime.default()
REACH_METRES = TRAVEL.reach_metres(TUNING.max_pickup_eta_seconds)


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds per matched ride."""

    search: float
    redis: float
    match: float

    @property
    def total(self) -> float:
        return self.search + self.redis + self.match


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", type=int, nargs="+", default=FLEETS)
    fleets = parser.parse_args(arguments).fleets
    sides: dict[str, Callable[[int], float]] = {
        "constant density": lambda unicorns: AREA_OF_1000 * (unicorns / 1000) ** 0.5,
        "constant area": lambda unicorns: AREA_OF_1000,
    }
    print(f"{WAITING} waiting rides; CPU ms per matched ride")
    print(
        "".join(
            f"{name:>10}" for name in ("unicorns", "search", "Redis", "match", "all", "÷ first")
        )
    )
    for name, side in sides.items():
        print(name)
        first = None
        for unicorns in fleets:
            cost = _cost(unicorns, side(unicorns))
            first = first or cost.total
            figures = (cost.search, cost.redis, cost.match, cost.total, cost.total / first)
            print(f"{unicorns:10,}" + "".join(f"{figure:10.2f}" for figure in figures), flush=True)


def _cost(unicorns: int, side: float) -> Cost:
    rng = random.Random(unicorns)
    with _redis() as client:
        index = RedisFleetIndex(RedisLink(client), timedelta(seconds=60))
        _fill(index, unicorns, side, rng)
        return _measured(index, client, [_rides(side, rng) for _ in range(ROUNDS)])


def _measured(index: RedisFleetIndex, client: Redis, crowds: Sequence[Sequence[Ride]]) -> Cost:
    search = matching = 0.0
    matched, redis = 0, _redis_seconds(client)
    for rides in crowds:
        began = time.process_time()
        near = index.near(
            [ride.pickup for ride in rides],
            reach_metres=REACH_METRES,
            per_place=TUNING.neighbours,
            equal_metres=TUNING.equal_metres,
            now=NOW,
        )
        found = time.process_time()
        matched += len(match(rides, near.entries, {}, NOW, TUNING, TRAVEL, REMAINING).claims)
        search += found - began
        matching += time.process_time() - found
    seconds = (search, _redis_seconds(client) - redis, matching)
    return Cost(*(1000 * spent / matched for spent in seconds))


def _redis_seconds(client: Redis) -> float:
    spent = cast("Mapping[str, float]", client.info("cpu"))
    return spent["used_cpu_user"] + spent["used_cpu_sys"]


def _fill(index: RedisFleetIndex, unicorns: int, side: float, rng: random.Random) -> None:
    cabs = (Cab.on_duty(f"u{n:06}", _somewhere(side, rng)) for n in range(unicorns))
    while some := list(islice(cabs, 1000)):
        index.refresh_all([cab.unicorn for cab in some], NOW)
        index.record_all({cab.unicorn.unicorn_id: Position(cab.at, NOW) for cab in some}, NOW)


def _rides(side: float, rng: random.Random) -> Sequence[Ride]:
    return [
        a_ride(
            ride_id=f"r{number:02}",
            pickup=_somewhere(side, rng),
            requested_at=NOW - timedelta(seconds=number),
            deadline_at=NOW,
        )
        for number in range(WAITING)
    ]


def _somewhere(side: float, rng: random.Random) -> Location:
    north, east = (side * (rng.random() - 0.5) for _ in range(2))
    return Location(CENTRE.latitude + north, CENTRE.longitude + east)


@contextmanager
def _redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        client = connect(server.url, timeout_seconds=10)
        yield client
        client.connection_pool.disconnect()


if __name__ == "__main__":
    main(sys.argv[1:])
