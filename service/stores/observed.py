"""The DynamoDB stores with metrics: the steps of rides are counted where they are written.

Whatever writes (a request, a round, the sweep), each claim and each end of a ride passes through
here once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from service.core.ports import WriteConflict
from service.model import Ride, RideStatus, Unicorn
from service.observability import traces
from service.observability.instruments import (
    CLAIMS,
    NOT_COMING,
    OLDEST_WAITING,
    PUT_BACK,
    REENQUEUED,
    RIDES_ENDED,
    RIDES_REQUESTED,
    TIME_TO_MATCH,
)
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.rides import DynamoRides

OLDEST_KNOWN_SECONDS: Final = 6.0
"""Longer than the time between two sweeps' checks of a waiting ride."""


class ObservedRides(DynamoRides):
    """Rides whose steps are counted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._oldest: datetime | None = None
        self._seen_at = 0.0

    def create(self, ride: Ride) -> Ride | None:
        existing = super().create(ride)
        if existing is None:
            RIDES_REQUESTED.inc()
        return existing

    def save(self, before: Ride, after: Ride) -> None:
        super().save(before, after)
        _count_step(before, after)

    def due_in_batches(
        self, shard: str, now: datetime, limit: int, size: int
    ) -> Iterator[Sequence[Ride]]:
        seen: list[Ride] = []
        try:
            for rides in super().due_in_batches(shard, now, limit, size):
                seen += rides
                yield rides
        finally:
            self._note_oldest(seen)

    def postpone(self, ride: Ride, due_at: datetime, failed_looks: int = 0) -> bool:
        done = super().postpone(ride, due_at, failed_looks)
        if failed_looks:
            PUT_BACK.inc()
        elif done and ride.status is RideStatus.REQUESTED:
            REENQUEUED.inc()
        return done

    def postpone_all(self, times: Sequence[tuple[Ride, datetime]]) -> Sequence[Ride]:
        moved = super().postpone_all(times)
        REENQUEUED.inc(sum(ride.status is RideStatus.REQUESTED for ride in moved))
        return moved

    def _note_oldest(self, due: Sequence[Ride]) -> None:
        """Update the metric of the oldest waiting ride. Each sweep sees some of the waiting rides;
        within seconds sweeps have seen all."""
        waiting = [ride.requested_at for ride in due if ride.status is RideStatus.REQUESTED]
        oldest, now = min(waiting, default=None), time.monotonic()
        is_older = oldest and (self._oldest is None or oldest <= self._oldest)
        if is_older or now - self._seen_at > OLDEST_KNOWN_SECONDS:
            self._oldest, self._seen_at = oldest, now
        OLDEST_WAITING.set(self._oldest.timestamp() if self._oldest else 0)


class ObservedAssignments(DynamoAssignments):
    """Assignments whose steps are counted; each claim has a span."""

    def commit(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        before, after = ride
        if before.status is RideStatus.REQUESTED and not after.is_terminal:
            self._claim(ride, unicorn)
        else:
            super().commit(ride, unicorn)
        _count_step(before, after)

    def _claim(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        result = "failed"
        with traces.span("claim", of_ride=ride[0].ride_id):
            try:
                super().commit(ride, unicorn)
                result = "won"
            except WriteConflict:
                result = "lost"
                raise
            finally:
                CLAIMS.labels(result).inc()


def _count_step(before: Ride, after: Ride) -> None:
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
