"""The results of a simulated night, and their mean over several nights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import t as student

from service.matching.travel import GreatCircle
from tests.load.bench.world import END, World


@dataclass(frozen=True)
class Outcome:
    """The results of one run. Shares are percent of the riders who requested a ride in the measured
    time.
    """

    within_5: float
    within_10: float
    served: float
    wait_seconds: float
    longest_waits_seconds: float
    """95th percentile of the waits until pickup."""
    worst_wait_seconds: float
    """The longest of all waits until pickup."""
    empty_km: float
    """Straight-line kilometres to the pickup per ride, as the references count them."""
    road_km: float
    """`empty_km` with the detour factor."""
    moved_km: float
    """Straight-line kilometres that idle unicorns drove to where they should wait, per ride."""
    total_km: float
    """The sum of `empty_km` and `moved_km`."""
    swaps: float
    """Changes of the planned unicorn per ride."""
    rides_spread: float
    """Standard deviation ÷ mean of rides per unicorn: how unevenly work is shared."""
    idle_spread: float
    """Standard deviation ÷ mean of the time each unicorn was idle."""
    rounds: float
    round_ms: float
    """CPU per round."""

    @classmethod
    def of(cls, world: World) -> Outcome:
        riders = [rider for rider in world.riders.values() if rider.counts]
        served = [r for r in riders if r.picked_up is not None]
        waits = np.array([r.picked_up - r.requested for r in served if r.picked_up is not None])
        road_km = sum(r.empty_metres for r in served) / len(served) / 1000
        idle = np.array([cab.idle_until(END) for cab in world.cabs.values()])
        work = np.array([cab.rides for cab in world.cabs.values()])
        return cls(
            within_5=100 * float(np.sum(waits <= 300)) / len(riders),
            within_10=100 * float(np.sum(waits <= 600)) / len(riders),
            served=100 * len(served) / len(riders),
            wait_seconds=float(waits.mean()),
            longest_waits_seconds=float(np.quantile(waits, 0.95)),
            worst_wait_seconds=float(waits.max()),
            empty_km=road_km / GreatCircle().detour,
            road_km=road_km,
            moved_km=world.moved_metres / len(served) / 1000,
            total_km=road_km / GreatCircle().detour + world.moved_metres / len(served) / 1000,
            swaps=sum(r.swaps for r in riders) / len(riders),
            rides_spread=float(work.std() / work.mean()),
            idle_spread=float(idle.std() / idle.mean()),
            rounds=len(world.rounds),
            round_ms=1000 * sum(world.rounds) / len(world.rounds),
        )


@dataclass(frozen=True)
class Estimate:
    """The mean over seeds, their standard deviation, and the half width of the mean's 95 %
    interval.
    """

    mean: float
    spread: float
    interval: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        mean = math.fsum(values) / len(values)
        if len(values) < 2:
            return cls(mean, math.nan, math.inf)
        spread = float(np.std(values, ddof=1))
        quantile = float(student.ppf(0.975, len(values) - 1))
        return cls(mean, spread, quantile * spread / math.sqrt(len(values)))


def summary(outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    """An estimate for every field of `Outcome`."""
    rows = [asdict(outcome) for outcome in outcomes]
    return {name: Estimate.of([row[name] for row in rows]) for name in rows[0]}
