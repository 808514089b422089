"""How well the city is served: time to match and busy share of the last hour, minute by minute.

Counters in Redis, told after the fact: a few may be lost, and all of them with Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final, Protocol

from service.core.city_map import CityMap
from service.core.ports import Matches
from service.model import UnicornState

MINUTE: Final = timedelta(minutes=1)
MINUTES: Final = 60
"""How many are told."""

BOUNDS: Final = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 480, 660)
"""Seconds up to which waits are counted together. None is longer than deadline and plan together
(660 s by default); what is longer counts as the last."""

BUSY: Final = frozenset({UnicornState.RESERVED, UnicornState.ON_TRIP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was counted in a span of time. `waits`: matches by `BOUNDS` of the time they took."""

    seconds: float = 0.0
    """Of all matches together."""
    waits: tuple[int, ...] = (0,) * len(BOUNDS)
    busy: int | None = None
    """Unicorns with a ride when they were last counted."""
    on_duty: int | None = None
    """Those, and those that are available."""

    @property
    def matches(self) -> int:
        return sum(self.waits)

    @property
    def mean_seconds(self) -> float | None:
        return self.seconds / self.matches if self.matches else None

    @property
    def busy_share(self) -> float | None:
        return self.busy / self.on_duty if self.busy is not None and self.on_duty else None

    def quantile_seconds(self, share: float) -> float | None:
        """Within this time so large a share was matched; between two bounds it is interpolated."""
        if not self.matches:
            return None
        rank, below = share * self.matches, 0.0
        for count, upto, bound in zip(self.waits, accumulate(self.waits), BOUNDS, strict=True):
            if upto >= rank and count:
                return below + (bound - below) * (rank - (upto - count)) / count
            below = bound
        return below


@dataclass(frozen=True, slots=True)
class LastHour:
    """The minutes, oldest first (the running one last), and all of them together."""

    minutes: Mapping[datetime, Tally]
    total: Tally = field(init=False)

    def __post_init__(self) -> None:
        tallies = list(self.minutes.values())
        counted = [each for each in tallies if each.busy is not None]
        together = Tally(
            seconds=sum(each.seconds for each in tallies),
            waits=tuple(map(sum, zip(*(each.waits for each in tallies), strict=True))),
            busy=sum(each.busy or 0 for each in counted) if counted else None,
            on_duty=sum(each.on_duty or 0 for each in counted) if counted else None,
        )
        object.__setattr__(self, "total", together)


class Statistics(Matches, Protocol):
    """Counters by the minute. Each method is one call and raises `Unavailable`."""

    def counted(self, busy: int, on_duty: int, now: datetime) -> None:
        """Note how many unicorns have a ride, and how many could; the last word counts."""

    def of(self, minutes: Sequence[datetime]) -> Sequence[Tally]:
        """What was counted in the minutes that begin at these instants."""


def wait_class(seconds: float) -> int:
    """The place in `BOUNDS` where so long a wait is counted."""
    return next((at for at, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS) - 1)


def minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def last_hour(statistics: Statistics, now: datetime) -> LastHour:
    """The last 60 minutes, the running one included."""
    running = minute_of(now)
    minutes = [running - ago * MINUTE for ago in reversed(range(MINUTES))]
    return LastHour(dict(zip(minutes, statistics.of(minutes), strict=True)))


def count_unicorns(city: CityMap, statistics: Statistics, now: datetime) -> None:
    """Note how many of the unicorns that were heard of lately have a ride. Raises `Unavailable`."""
    states = city.states(now)
    busy = sum(states.get(state, 0) for state in BUSY)
    statistics.counted(busy, busy + states.get(UnicornState.AVAILABLE, 0), now)
