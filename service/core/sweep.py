"""The delivery guarantee: look after every open ride whose time has come.

Rides in DynamoDB carry the instant at which somebody has to look at them (`due_at`). Whatever was
lost on the way (a job, a message, all of Redis, a process in the middle of its work), the sweep
finds the ride here. It is harmless if two sweeps run: each write is conditional.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from service.core import effects
from service.core.ports import Ports
from service.core.transition import carry_out
from service.matching.travel import seconds_between
from service.model import (
    LIVENESS_CHECK,
    CanceledBy,
    Ride,
    RideStatus,
    Unicorn,
)
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)

RETRY_EVERY: Final = timedelta(seconds=4)
"""How long a waiting ride goes without a trigger at most: the tail of a fault is this plus one."""

LOST_AFTER: Final = timedelta(minutes=30)
"""A unicorn silent this long (and three times its trip) while in progress is lost."""

CHECK_MARGIN: Final = timedelta(seconds=1)
"""So much later than the silence of a unicorn could be too long is when it is looked at."""

BATCH: Final = 500
"""Rides looked after in one run; the next run is a second away."""


def sweep(ports: Ports, now: datetime, time_left: Callable[[], bool] = lambda: True) -> int:
    """Look after the rides that are due, oldest first; returns how many.

    Stops when `time_left` says no: a backlog that takes longer than the time between two sweeps
    is worked off by one after the other, never by several at once that leave no worker to rounds.
    """
    # A new Redis knows no waiting ride; each is due within this interval, so look at them all.
    horizon = RETRY_EVERY if _is_new(ports, now) else timedelta()
    done = 0
    for done, ride in enumerate(ports.rides.due(now + horizon, BATCH), 1):
        try:
            _LOOK_AFTER[ride.status](ports, ride, now)
        except DispatchError as error:
            logger.warning(
                "ride left for the next sweep",
                extra={"ride_id": ride.ride_id, "cause": f"{type(error).__name__}: {error}"},
            )
        except Exception:
            # A defect that one ride brings to light must not cost the others their guarantee.
            logger.exception("sweep failed on a ride", extra={"ride_id": ride.ride_id})
        if not time_left():
            return done
    return done


def _look_after_requested(ports: Ports, ride: Ride, now: datetime) -> None:
    planned = now >= ride.deadline_at and _has_plan(ports, ride)
    end = ports.rules.ends_at(ride, planned=planned)
    if now >= end:
        _apply(ports, ride, now, lambda stored: stored.unmatched())
    elif ports.rides.postpone(ride, min(now + RETRY_EVERY, end)):
        effects.trigger_ride(ports, ride)


def _look_after_offered(ports: Ports, ride: Ride, now: datetime) -> None:
    if ride.due_at is not None and now >= ride.due_at:
        _apply(ports, ride, now, lambda stored: stored.returned(now, ports.rules.deadline))


def _look_after_assigned(ports: Ports, ride: Ride, now: datetime) -> None:
    if ride.arrived_at and now >= ride.arrived_at + ports.rules.no_show:
        _apply(ports, ride, now, lambda r: r.canceled(CanceledBy.SYSTEM, "no_show", now))
        return
    silent = _silent_for(ports, ride, now)
    if silent > ports.rules.stale:
        deadline = ports.rules.deadline
        _apply(ports, ride, now, lambda r: r.returned(now, deadline), silent=True)
    else:
        check = _next_check(now, silent, ports.rules.stale)
        show = ride.arrived_at + ports.rules.no_show if ride.arrived_at else check
        ports.rides.postpone(ride, min(check, show))


def _look_after_in_progress(ports: Ports, ride: Ride, now: datetime) -> None:
    silent, limit = _silent_for(ports, ride, now), max(LOST_AFTER, 3 * _trip_estimate(ports, ride))
    if silent > limit:
        lost = "unicorn_lost"
        _apply(ports, ride, now, lambda r: r.canceled(CanceledBy.SYSTEM, lost, now), silent=True)
    else:
        ports.rides.postpone(ride, _next_check(now, silent, limit))


_LOOK_AFTER: Final[dict[RideStatus, Callable[[Ports, Ride, datetime], None]]] = {
    RideStatus.REQUESTED: _look_after_requested,
    RideStatus.OFFERED: _look_after_offered,
    RideStatus.MATCHED: _look_after_assigned,
    RideStatus.ARRIVED: _look_after_assigned,
    RideStatus.IN_PROGRESS: _look_after_in_progress,
}


def _apply(
    ports: Ports,
    seen: Ride,
    now: datetime,
    step: Callable[[Ride], Ride],
    *,
    silent: bool = False,
) -> None:
    """Take the step if the ride still is in the state the sweep saw, and free its unicorn."""

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.version != seen.version:
            return ride, unicorn
        released = unicorn and unicorn.released(
            ride.ride_id, now, refused=ride.status is RideStatus.OFFERED, keep_accepting=not silent
        )
        return step(ride), released

    carry_out(ports, seen, decide, now)


def _is_new(ports: Ports, now: datetime) -> bool:
    try:
        return ports.fleet.begin_epoch(now)
    except Unavailable:
        return False


def _has_plan(ports: Ports, ride: Ride) -> bool:
    try:
        return ports.waiting.plan_of(ride.zone, ride.ride_id) is not None
    except Unavailable:
        # Plans live in Redis alone: without it there is none.
        return False


def _silent_for(ports: Ports, ride: Ride, now: datetime) -> timedelta:
    """How long the ride's unicorn has not been heard of.

    Raises `Unavailable` while nobody can tell, and puts the ride off: left where it is, it would
    take the place in the next batches of rides that can be looked after.
    """
    try:
        return ports.fleet.silent_for(ride.unicorn_id or "", now)
    except Unavailable:
        ports.rides.postpone(ride, now + LIVENESS_CHECK)
        raise


def _next_check(now: datetime, silent: timedelta, limit: timedelta) -> datetime:
    """Just after the silence could first exceed its limit.

    Each look at a ride costs writes (row and index), so one that cannot find anything is left out.
    """
    return now + (limit - silent) + CHECK_MARGIN


def _trip_estimate(ports: Ports, ride: Ride) -> timedelta:
    if ride.dropoff is None:
        return timedelta()
    return timedelta(seconds=seconds_between(ports.travel, ride.pickup, ride.dropoff))
