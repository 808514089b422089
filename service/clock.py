"""The service's time: the middle one of three clocks, carried on by this host's monotonic one.

Hosts' clocks disagree and jump. Each process reads three clocks every few seconds: its host's, the
`TIME` of Redis and the `Date` of DynamoDB's answers, and takes the middle one. So one clock that is
wrong, whichever it is, changes nothing; between two readings a jump of the host's clock is not even
noticed. A clock that is off by more than `BOUND` is told in a metric and by `/readyz`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from service.background import Repeated
from service.model.errors import Unavailable
from service.observability.instruments import CLOCK_OFF

BOUND: Final = timedelta(seconds=5)
"""How far a clock may be off unnoticed. `Date` alone is coarse by a second."""

READ_EVERY_SECONDS: Final = 5.0
FIRST_READ_SECONDS: Final = 1.0
"""A process that starts waits no longer for stores that do not answer."""

HOST: Final = "host"
REDIS: Final = "redis"

Source = Callable[[], float | None]
"""Seconds since 1970 by some clock, less the monotonic clock's at that instant; none: unknown."""


class Clock:
    """`now` is the service's time. `sources`: clocks beside the host's, by name."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._sources: Mapping[str, Source] = {
            HOST: lambda: wall() - monotonic(),
            **sources,
        }
        self._known: dict[str, float] = {}
        self._base = wall() - monotonic()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._base + self._monotonic(), UTC)

    def by(self, name: str) -> datetime:
        """The time by one clock, right or wrong; the service's while that clock is not known."""
        base = self._known.get(name, self._base)
        return datetime.fromtimestamp(base + self._monotonic(), UTC)

    def read(self) -> None:
        """Read every clock. One that does not answer is believed to go on as it was last read."""
        for name, source in self._sources.items():
            try:
                reading = source()
            except Unavailable:
                continue
            if reading is not None:
                self._known[name] = reading
        self._base = _middle(self._known)
        for name, reading in self._known.items():
            CLOCK_OFF.labels(name).set(abs(reading - self._base))

    def is_within_bound(self) -> bool:
        """Whether every clock was within `BOUND` of the service's time when last read."""
        bound = BOUND.total_seconds()
        return all(abs(reading - self._base) <= bound for reading in self._known.values())

    def keep_reading(self) -> None:
        """Read now, for `FIRST_READ_SECONDS` at most, and in the background from then on."""
        Repeated("reading the clocks", self.read, READ_EVERY_SECONDS).start(FIRST_READ_SECONDS)


def _middle(readings: Mapping[str, float]) -> float:
    """Of two the one that all processes share: the other is this host's."""
    if len(readings) == 2:
        return next(reading for name, reading in readings.items() if name != HOST)
    return statistics.median(readings.values())
