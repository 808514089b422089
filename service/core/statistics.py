"""Statistics of the last hour by minute: time to match, and the share of busy unicorns.

The counters are in Redis and updated after each event, so a few events may be missing, and all
counters are lost with Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final, Protocol

from service.core.city_map import CityMap
from service.core.ports import Matches
from service.model import UnicornState

MINUTE: Final = timedelta(minutes=1)
MINUTES: Final = 60
"""The number of minutes that are shown."""

BOUNDS: Final = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 480, 660)
"""The upper bounds, in seconds, of the classes of waits. A longer wait counts in the last class."""

BUSY: Final = frozenset({UnicornState.RESERVED, UnicornState.ON_TRIP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The counts of a time span. `waits`: the number of matches in each class of `BOUNDS`."""

    seconds: float = 0.0
    """The sum of all waits."""
    waits: tuple[int, ...] = (0,) * len(BOUNDS)
    busy: int | None = None
    """The number of unicorns with a ride, at the last count of the time span."""
    on_duty: int | None = None
    """The number of busy and available unicorns together, at the same count."""

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
        """The time within which this share of rides was matched, interpolated between bounds."""
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

    @property
    def total(self) -> Tally:
        tallies = list(self.minutes.values())
        counted = [each for each in tallies if each.busy is not None]
        return Tally(
            seconds=sum(each.seconds for each in tallies),
            waits=tuple(map(sum, zip(*(each.waits for each in tallies), strict=True))),
            busy=sum(each.busy or 0 for each in counted) if counted else None,
            on_duty=sum(each.on_duty or 0 for each in counted) if counted else None,
        )


class Statistics(Matches, Protocol):
    """Counters by the minute. Each method is one call and raises `Unavailable`."""

    def counted(self, busy: int, on_duty: int, now: datetime) -> None:
        """Store the numbers of busy and on-duty unicorns; the last call in a minute counts."""

    def of(self, minutes: Sequence[datetime]) -> Sequence[Tally]:
        """The tallies of the minutes that begin at these instants."""


def wait_class(seconds: float) -> int:
    """The index in `BOUNDS` of the class of this wait."""
    return next((at for at, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS) - 1)


def minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def last_hour(statistics: Statistics, now: datetime) -> LastHour:
    """The last 60 minutes, the running one included."""
    running = minute_of(now)
    minutes = [running - ago * MINUTE for ago in reversed(range(MINUTES))]
    return LastHour(dict(zip(minutes, statistics.of(minutes), strict=True)))


def count_unicorns(city: CityMap, statistics: Statistics, now: datetime) -> None:
    """Count the recently heard unicorns that have a ride or are on duty. Raises `Unavailable`."""
    states = city.states(now)
    busy = sum(states.get(state, 0) for state in BUSY)
    statistics.counted(busy, busy + states.get(UnicornState.AVAILABLE, 0), now)
