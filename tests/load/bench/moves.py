"""Measures the CPU of repositioning: `python -m tests.load.bench.moves`.

A step of one zone is measured for two fleets of the same density, once with three in ten unicorns
idle (as at load 0.70) and once with all of them. It also measures the cost of counting a rider in
the call that adds a waiting ride.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Final

import h3

from service.matching.demand import PICKUP_RESOLUTION, Demand
from service.matching.remaining import RemainingTime
from service.matching.repositioning import reposition
from service.matching.travel import GreatCircle
from service.matching.tuning import Repositioning
from service.model import FleetEntry, Location, Position, Ride, Trip
from service.stores.redis.link import Command, connect
from service.stores.redis.moves import RequestCounter
from tests.load.bench.assignment import DEGREES_PER_UNICORN, NOW, cpu_ms
from tests.load.bench.cabs import Cab
from tests.support.builders import a_ride
from tests.support.infrastructure import RedisServer

KNOBS, TRAVEL, REMAINING = Repositioning(), GreatCircle(), RemainingTime.default()
FLEETS: Final = ((500, 0.3), (500, 1.0), (10_000, 0.3), (10_000, 1.0))
REQUESTS: Final = 2000


def main() -> None:
    print("unicorns, idle: CPU ms of a step (median), moves, goals")
    for unicorns, share in FLEETS:
        fleet, demand = _city(unicorns, share)
        found = reposition(fleet, demand, NOW, KNOBS, TRAVEL, REMAINING)

        def step(fleet: list[FleetEntry] = fleet, demand: Demand = demand) -> None:
            reposition(fleet, demand, NOW, KNOBS, TRAVEL, REMAINING)

        figures = f"{cpu_ms(step):8.1f} {len(found.moves):6} {len(found.expected):6}"
        print(f"{unicorns:6} {share:5.0%} {figures}", flush=True)
    print(f"counting a rider: {_counting() * 1e6:.0f} µs CPU in the process that asks")


def _city(unicorns: int, idle: float) -> tuple[list[FleetEntry], Demand]:
    """Unicorns anywhere in a square, and riders in clusters, as many as make a load of 0.70."""
    rng = random.Random(1)
    side = DEGREES_PER_UNICORN * unicorns**0.5

    def somewhere() -> Location:
        return Location(40.5 + side * rng.random(), -74.2 + side * rng.random())

    heaps = [somewhere() for _ in range(unicorns // 10)]

    def asked() -> str:
        heap = rng.choice(heaps)
        at = rng.gauss(heap.latitude, 0.005), rng.gauss(heap.longitude, 0.005)
        return str(h3.latlng_to_cell(*at, PICKUP_RESOLUTION))

    fleet = []
    for number in range(unicorns):
        unicorn, at = Cab.on_duty(f"u{number:05}", somewhere()).unicorn, somewhere()
        if rng.random() >= idle:
            started = NOW - timedelta(seconds=rng.uniform(0, 900))
            unicorn = unicorn.reserved("r", Trip(at, somewhere(), started))
        fleet.append(FleetEntry(unicorn, Position(at, NOW)))
    riders = round(0.7 * unicorns / 750 * 900)
    return fleet, Demand(Counter(asked() for _ in range(riders)), riders // 3)


def _counting() -> float:
    """CPU seconds per request of the same pipeline with the count and without it, in turns."""
    rng = random.Random(1)
    rides = [
        a_ride(rider_id=f"rider-{n}", pickup=Location(40.7 + 0.1 * rng.random(), -74.0))
        for n in range(REQUESTS)
    ]
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        client, counter = connect(server.url, timeout_seconds=2), RequestCounter()

        def cost(ride: Ride, *, counts: bool) -> float:
            began = time.process_time()
            commands: list[Command] = [
                ("HSET", "waiting", ride.ride_id, "x" * 400),
                ("SET", "mark", "1", "NX", "PX", 1000),
            ]
            if counts:
                commands += counter.commands(ride)
            client.exchange(commands)
            return time.process_time() - began

        costs = [(cost(ride, counts=True), cost(ride, counts=False)) for ride in rides]
    return median(more for more, _ in costs) - median(less for _, less in costs)


if __name__ == "__main__":
    main()
