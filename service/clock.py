"""The service's time: the middle one of three clocks.

The clocks of hosts disagree and jump. So a process that serves requests or runs jobs reads three
clocks every few seconds (its host's, the `TIME` of Redis and the `Date` of DynamoDB's answers) and
takes the middle one, so that one wrong clock changes nothing. Beat and a worker's main process go
by the clock of Redis. Between readings the host's monotonic clock counts on, so a jump of the
host's clock has no effect. A metric shows how far each clock is off, and `/readyz` whether one is
off by more than `BOUND`.
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
"""How far a clock may be off without being reported; `Date` has a resolution of one second."""

READ_EVERY_SECONDS: Final = 5.0
FIRST_READ_SECONDS: Final = 1.0
"""The longest time that a starting process waits for the first reading, in case a store does not
answer."""

HOST: Final = "host"
REDIS: Final = "redis"
DYNAMODB: Final = "dynamodb"

Source = Callable[[], float | None]
"""Returns a clock's seconds since 1970 minus the monotonic clock's; None if it is unknown."""


class Clock:
    """Tells the service's time. `sources`: the clocks beside the host's, by name."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._sources: Mapping[str, Source] = {HOST: lambda: wall() - monotonic(), **sources}
        self._readings: dict[str, float] = {}
        self._base = wall() - monotonic()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._base + self._monotonic(), UTC)

    def by(self, name: str) -> datetime:
        """The time by one clock, right or wrong; the service's time if it has not been read yet."""
        base = self._readings.get(name, self._base)
        return datetime.fromtimestamp(base + self._monotonic(), UTC)

    def read(self) -> None:
        """Read every clock. One that does not answer keeps its last reading."""
        for name, source in self._sources.items():
            try:
                reading = source()
            except Unavailable:
                continue
            if reading is not None:
                self._readings[name] = reading
        self._base = _middle(self._readings)
        for name, off in self.off().items():
            CLOCK_OFF.labels(name).set(abs(off.total_seconds()))

    def off(self) -> Mapping[str, timedelta]:
        """How far each clock was ahead of the service's time at its last reading, by name.

        A clock that was never read is absent.
        """
        return {
            name: timedelta(seconds=reading - self._base)
            for name, reading in self._readings.items()
        }

    def is_within_bound(self) -> bool:
        """Whether every clock was within `BOUND` of the service's time at its last reading."""
        return all(abs(off) <= BOUND for off in self.off().values())

    def keep_reading(self) -> None:
        """Read in the background from now on; wait for the first reading at most
        `FIRST_READ_SECONDS`."""
        Repeated("reading the clocks", self.read, READ_EVERY_SECONDS).start(FIRST_READ_SECONDS)


def _middle(readings: Mapping[str, float]) -> float:
    """The median. Of only two readings: that of Redis or DynamoDB, because all processes share its
    clock; the mean of both would differ from host to host."""
    if len(readings) == 2:
        return next(reading for name, reading in readings.items() if name != HOST)
    return statistics.median(readings.values())
