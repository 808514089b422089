"""Measures the CPU of one round of pairing: `python -m tests.load.bench.assignment`.

Prints three figures per size: solving alone; pruning, pricing and solving, from columns of numbers;
and the whole `match`, from rides and fleet entries to pairings, as a worker calls it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

import numpy as np
from scipy.optimize import linear_sum_assignment

from service.matching.assignment import cheapest
from service.matching.candidates import gather
from service.matching.costs import CostTable
from service.matching.match import match
from service.matching.remaining import RemainingTime
from service.matching.travel import FloatArray, GreatCircle
from service.matching.tuning import Tuning
from service.model import FleetEntry, Location, Position, Ride
from tests.load.bench.cabs import Cab
from tests.support.builders import a_ride

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = ((1, 16), (5, 100), (50, 2000), (500, 2000), (2000, 10_000), (2000, 2000))
DEGREES_PER_UNICORN = 0.004
"""Side of the square divided by the root of the fleet: 10,000 unicorns on some 44 × 34 km."""
TUNING, TRAVEL, REMAINING = Tuning(), GreatCircle(), RemainingTime.default()


def main() -> None:
    print("riders × unicorns, CPU ms (median): solve; prune, price and solve; match; dense scipy")
    for riders, unicorns in SIZES:
        rides, fleet = _city(riders, unicorns)
        candidates = gather(fleet, NOW, TUNING.plan_seconds, TRAVEL, REMAINING, TRAVEL)
        costs = CostTable.of(rides, candidates, {}, NOW, TUNING, TRAVEL)
        pairs, _, _ = costs.pairs(costs.riders, TUNING.neighbours)

        def assign(costs: CostTable = costs) -> None:
            near, _, _ = costs.pairs(costs.riders, TUNING.neighbours)
            cheapest(near, costs.unmatched)

        def whole(rides: list[Ride] = rides, fleet: list[FleetEntry] = fleet) -> None:
            match(rides, fleet, {}, NOW, TUNING, TRAVEL, REMAINING)

        solve = cpu_ms(lambda pairs=pairs, costs=costs: cheapest(pairs, costs.unmatched))
        figures = f"{solve:8.2f} {cpu_ms(assign):8.2f} {cpu_ms(whole):8.2f}"
        print(f"{riders:5} × {unicorns:<6} {figures} {_dense(costs):>9}", flush=True)


def _dense(costs: CostTable) -> str:
    """Pair by the textbook: compute all distances, then run the Hungarian method."""
    riders, unicorns = len(costs.riders), len(costs.candidates.unicorn_ids)
    if riders * unicorns > 2_000_000:
        return "-"

    def solve() -> None:
        starts = np.tile(costs.candidates.places, (riders, 1))
        ends: FloatArray = np.repeat(costs.pickups, unicorns, axis=0)
        seconds, _ = TRAVEL.estimate(starts, ends)
        linear_sum_assignment(seconds.reshape(riders, unicorns))

    return f"{cpu_ms(solve):.2f}"


def cpu_ms(work: Callable[[], None]) -> float:
    """Median milliseconds of CPU of this process."""
    samples: list[float] = []
    while sum(samples) < 0.5 or len(samples) < 5:
        began = time.process_time()
        work()
        samples.append(time.process_time() - began)
    return 1000 * median(samples)


def _city(riders: int, unicorns: int) -> tuple[list[Ride], list[FleetEntry]]:
    rng = random.Random(1)
    side = DEGREES_PER_UNICORN * unicorns**0.5

    def somewhere() -> Location:
        return Location(40.5 + side * rng.random(), -74.2 + side * rng.random())

    rides = [
        a_ride(
            ride_id=f"r{number:05}",
            pickup=somewhere(),
            requested_at=NOW - timedelta(seconds=rng.uniform(0, 60)),
            deadline_at=NOW,
        )
        for number in range(riders)
    ]
    cabs = [Cab.on_duty(f"u{number:05}", somewhere()) for number in range(unicorns)]
    return rides, [FleetEntry(cab.unicorn, Position(cab.at, NOW)) for cab in cabs]


if __name__ == "__main__":
    main()
