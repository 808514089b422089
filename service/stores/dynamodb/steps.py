"""Counts the steps of rides where they are written.

One of the stores in this folder writes each claim and each end of a ride, whether a request, a
round or the sweep causes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from service.core.ports import WriteConflict
from service.model import Ride, RideStatus
from service.observability import traces
from service.observability.instruments import (
    CLAIMS,
    NOT_COMING,
    OLDEST_WAITING,
    RIDES_ENDED,
    TIME_TO_MATCH,
)

OLDEST_KNOWN_SECONDS: Final = 6.0
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


class OldestWaiting:
    """The metric of the oldest waiting ride. Each sweep sees some of the waiting rides; the
    sweeps of a few seconds together see all."""

    def __init__(self) -> None:
        self._oldest: datetime | None = None
        self._seen_at = 0.0

    def note(self, due: Sequence[Ride]) -> None:
        """Update the metric by the due rides that a sweep has seen."""
        waiting = [ride.requested_at for ride in due if ride.status is RideStatus.REQUESTED]
        oldest, now = min(waiting, default=None), time.monotonic()
        is_older = oldest and (self._oldest is None or oldest <= self._oldest)
        if is_older or now - self._seen_at > OLDEST_KNOWN_SECONDS:
            self._oldest, self._seen_at = oldest, now
        OLDEST_WAITING.set(self._oldest.timestamp() if self._oldest else 0)
