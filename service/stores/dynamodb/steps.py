"""Counts the steps of rides where they are written.

One of the stores in this folder writes each claim and each end of a ride, whether a request, a
round or the sweep causes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from prometheus_client import Gauge

from service.core.ports import WriteConflict
from service.model import Ride, RideStatus
from service.observability import traces
from service.observability.instruments import (
    CLAIMS,
    EARLIEST_DEADLINE,
    NOT_COMING,
    OLDEST_WAITING,
    RIDES_ENDED,
    TIME_TO_MATCH,
)

EARLIEST_KNOWN_SECONDS: Final = 6.0
"""The metric forgets a ride that no sweep has seen for this long. Longer than the time between two
sweeps' checks of a waiting ride."""


def count_step(before: Ride, after: Ride) -> None:
    """Count the step of a ride that a committed write made."""
    if after.attention and not before.attention:
        NOT_COMING.labels("left").inc()
    if after.status is before.status:
        return
    if after.status is RideStatus.REQUESTED and before.unicorn_id in after.not_coming:
        NOT_COMING.labels("taken_back").inc()
    if after.is_terminal:
        RIDES_ENDED.labels(after.status.value, after.canceled_by or "").inc()
    elif after.status is RideStatus.MATCHED and after.matched_at:
        TIME_TO_MATCH.observe((after.matched_at - after.requested_at).total_seconds())


@contextmanager
def counted_claim(ride_id: str) -> Iterator[None]:
    """Count the claim that the block writes as won, lost or failed; trace it in its own span."""
    result = "failed"
    with traces.span("claim", of_ride=ride_id):
        try:
            yield
            result = "won"
        except WriteConflict:
            result = "lost"
            raise
        finally:
            CLAIMS.labels(result).inc()


class EarliestWaiting:
    """A metric of the earliest `instant` of the waiting rides. Each sweep sees some of the waiting
    rides; the sweeps of a few seconds together see all."""

    def __init__(self, metric: Gauge, instant: Callable[[Ride], datetime]) -> None:
        self._metric = metric
        self._instant = instant
        self._earliest: datetime | None = None
        self._seen_at = 0.0

    def note(self, waiting: Sequence[Ride]) -> None:
        """Update the metric by the waiting rides that a sweep has seen."""
        earliest, now = min(map(self._instant, waiting), default=None), time.monotonic()
        is_earlier = earliest and (self._earliest is None or earliest <= self._earliest)
        if is_earlier or now - self._seen_at > EARLIEST_KNOWN_SECONDS:
            self._earliest, self._seen_at = earliest, now
        self._metric.set(self._earliest.timestamp() if self._earliest else 0)


def waiting_metrics() -> Sequence[EarliestWaiting]:
    """The metrics of the oldest waiting ride and of the earliest deadline."""
    return (
        EarliestWaiting(OLDEST_WAITING, lambda ride: ride.requested_at),
        EarliestWaiting(EARLIEST_DEADLINE, lambda ride: ride.deadline_at),
    )
