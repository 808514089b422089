"""The schedule of a run, drawn from a seed before the run begins: all rides and all faults.

The same seed draws the same schedule. The timing of the processes depends on the machine, so a run
cannot be repeated exactly; therefore its history is kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CITIES: Final = ((40.7228, -73.9960), (42.3601, -71.0589), (39.9526, -75.1652))
"""Three zones, so that rounds of several run at once."""
HALF_WIDTH_DEGREES: Final = 0.0008
"""About 90 m, so that every unicorn of a city is within a second's drive of every pickup at a speed
that the service believes (300 m/s). If unicorns jumped from place to place, the service would not
believe their positions."""

CALM_SECONDS: Final = 8.0
"""Seconds without faults at the beginning, to measure rides when nothing fails."""


class Habit(StrEnum):
    """How a unicorn behaves."""

    STEADY = "steady"
    CHOOSY = "choosy"
    """Wants to be asked, and declines some offers."""
    FORGETFUL = "forgetful"
    """Falls silent with a ride for longer than the service waits."""


class Fault(StrEnum):
    """The kinds of faults."""

    WORKER = "worker killed"
    CHILD = "worker's child killed"
    WEB = "API killed"
    BEAT = "beat killed"
    REDIS = "Redis killed, empty after"
    AWS = "DynamoDB paused"
    HOLE = "Redis black-holed"
    HALF_OPEN = "Redis links half-open"
    SLOW_CLIENTS = "slow clients"
    FAILOVER = "Redis failed over"
    SILENT = "Redis silent, then failed over"
    DEAF = "API alive but refusing positions"


PER_1000_RIDES: Final = {
    Fault.WORKER: 27.5,
    Fault.CHILD: 25,
    Fault.WEB: 8,
    Fault.BEAT: 4,
    Fault.REDIS: 16.5,
    Fault.AWS: 4,
    Fault.HOLE: 3,
    Fault.HALF_OPEN: 3,
    Fault.SLOW_CLIENTS: 3,
    Fault.FAILOVER: 6,
    Fault.SILENT: 3,
    Fault.DEAF: 1.5,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A rider who requests a ride `at` seconds after the beginning."""

    at: float
    number: int
    rider: str
    city: int
    pickup: tuple[float, float]
    dropoff: tuple[float, float]
    long_polls: bool
    waits_in_post: bool
    watches_to_the_end: bool
    cancels_after: float | None


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault `at` seconds after the beginning, with its duration and its delay after a request."""

    at: float
    fault: Fault
    seconds: float
    delay: float
    pick: float
    """A number from 0 to below 1 that chooses one of several victims."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A unicorn of the fleet."""

    unicorn_id: str
    city: int
    habit: Habit
    seed: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that is decided before the run."""

    seed: int
    seconds: float
    arrivals: Sequence[Arrival]
    strikes: Sequence[Strike]
    fleet: Sequence[Driver]
    advises: bool = False
    """Whether idle unicorns rest outside their city and are advised to come back."""


def draw(seed: int, rides: int, seconds: float, fleet: int, *, advises: bool = False) -> Schedule:
    """The schedule of a seed: `rides` at random times, and faults in proportion to their number."""
    chance = random.Random(seed)
    return Schedule(
        seed=seed,
        seconds=seconds,
        arrivals=tuple(_arrivals(chance, rides, seconds)),
        strikes=tuple(
            strike
            for strike in _strikes(chance, rides, seconds)
            # Advice begins five minutes after Redis has lost its memory.
            if not advises or strike.fault is not Fault.REDIS
        ),
        fleet=tuple(_fleet(chance, fleet)),
        advises=advises,
    )


def place(chance: random.Random, city: int) -> tuple[float, float]:
    """A random place in the city, in degrees."""
    latitude, longitude = CITIES[city]
    spread = HALF_WIDTH_DEGREES
    return (
        round(latitude + chance.uniform(-spread, spread), 6),
        round(longitude + chance.uniform(-spread, spread), 6),
    )


def _arrivals(chance: random.Random, rides: int, seconds: float) -> Iterator[Arrival]:
    """Given their number, the arrivals of a Poisson process are uniform over the time."""
    for number, at in enumerate(sorted(chance.uniform(0, seconds) for _ in range(rides))):
        city = chance.randrange(len(CITIES))
        yield Arrival(
            at=at,
            number=number,
            rider=f"rider-{chance.randrange(max(1, rides // 4))}",
            city=city,
            pickup=place(chance, city),
            dropoff=place(chance, city),
            long_polls=chance.random() < 0.7,
            waits_in_post=chance.random() < 0.2,
            watches_to_the_end=chance.random() < 0.4,
            cancels_after=chance.uniform(0, 3) if chance.random() < 0.08 else None,
        )


def _strikes(chance: random.Random, rides: int, seconds: float) -> Sequence[Strike]:
    """Divide the time into spans, and draw one strike of each kind in each span, so that kinds
    overlap.
    """
    begin = min(CALM_SECONDS, seconds / 4)
    strikes = []
    for fault, per_1000 in PER_1000_RIDES.items():
        times = max(1, round(rides * per_1000 / 1000))
        span = (seconds - begin) / times
        strikes += [
            Strike(
                at=begin + span * (number + chance.random()),
                fault=fault,
                seconds=_lasting(chance, fault),
                delay=chance.uniform(0, 0.02),
                pick=chance.random(),
            )
            for number in range(times)
        ]
    return sorted(strikes, key=lambda strike: strike.at)


def _lasting(chance: random.Random, fault: Fault) -> float:
    match fault:
        case Fault.AWS:
            return chance.uniform(1, 3)
        case Fault.HOLE | Fault.SILENT:
            return chance.uniform(1, 4)
        case Fault.SLOW_CLIENTS:
            return chance.uniform(4, 8)
        case Fault.REDIS:
            return chance.uniform(0, 1)
        case Fault.DEAF:
            # Longer than a position stays fresh.
            return chance.uniform(22, 30)
        case _:
            return 0.0


def _fleet(chance: random.Random, size: int) -> Iterator[Driver]:
    for number in range(size):
        # Every tenth is choosy, every twelfth forgetful.
        habit = Habit.STEADY
        if number % 10 == 3:
            habit = Habit.CHOOSY
        elif number % 12 == 5:
            habit = Habit.FORGETFUL
        yield Driver(f"unicorn-{number}", number % len(CITIES), habit, chance.randrange(2**32))
