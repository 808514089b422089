"""The delivery guarantee: look after every open ride whose time has come.

Rides in DynamoDB carry the instant at which somebody has to look at them (`due_at`). Whatever was
lost on the way (a job, a message, all of Redis, a process in the middle of its work), the sweep
finds the ride here. It is harmless if two sweeps run: each write is conditional.

The index of open rides has shards. Each is swept on its own, so that several workers can share a
backlog. A ride that cannot be looked after is put back with a growing delay: it costs the others
nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from service.core import coming, effects
from service.core.ports import Stores
from service.core.reconcile import mend
from service.core.silence import is_outage
from service.core.transition import carry_out
from service.matching.correction import Kind
from service.matching.travel import seconds_between
from service.model import (
    LIVENESS_CHECK,
    CanceledBy,
    Ride,
    RideStatus,
    RideStep,
    Unicorn,
)
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)

RETRY_EVERY: Final = timedelta(seconds=4)
"""Longest time a waiting ride goes without a trigger: the tail of a fault is this plus a second."""

LONGEST_PAUSE: Final = timedelta(seconds=60)
"""Longest delay of a ride whose every look fails."""

LOST_AFTER: Final = timedelta(minutes=30)
"""A unicorn silent this long (and three times its trip) while in progress is lost."""

CHECK_MARGIN: Final = timedelta(seconds=1)
"""Added to a liveness check's due time, so that the check runs just after the unicorn became
stale."""

BATCH: Final = 1000
"""Rides of a shard looked after in one run; the next run is a second away."""

TOGETHER: Final = 100
"""Waiting rides that are triggered with one call to Redis: no more wait for the time that is left
to be looked at again."""


RunAll = Callable[[Callable[[str], "Swept"], Sequence[str]], Iterable["Swept"]]
"""`map`, or the like of it that runs several calls at the same time."""

Turn = Callable[[str], AbstractContextManager[bool]]
"""Whether it is the caller's turn to sweep the shard with this name."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: shards it had the turn of, and rides it looked at."""

    shards: int = 0
    rides: int = 0


def sweep(
    ports: Stores,
    now: datetime,
    time_left: Callable[[], bool] = lambda: True,
    *,
    turn: Turn = lambda shard: nullcontext(True),
    run_all: RunAll = map,
    call_for_help: Callable[[], None] = lambda: None,
) -> Swept:
    """Look after the rides that are due, in every shard that is free.

    Ends when nothing is due or `time_left` says no: the rest is for the next sweep. Calls for help
    once if a shard has more than one run can look after, so that other workers take other shards.
    """
    # A new Redis knows no waiting ride; each is due within this interval, so look at them all.
    until = now + (RETRY_EVERY if _is_new(ports, now) else timedelta())
    helpers = [call_for_help]

    def look(shard: str) -> Swept:
        with turn(shard) as mine:
            if not mine or not time_left():
                return Swept()
            rides = ports.rides.due(until, BATCH, shard)
            if len(rides) == BATCH and helpers:
                helpers.pop()()
            return Swept(1, _look_after(ports, rides, now, time_left))

    def run(shard: str) -> Swept:
        try:
            return look(shard)
        except Exception as error:
            # The other shards do not depend on it.
            _report("shard not swept", error, {"shard": shard})
            return Swept()

    # In random order: where time runs out, no shard is always the last.
    done = list(run_all(run, random.sample(ports.rides.shards, len(ports.rides.shards))))
    return Swept(sum(each.shards for each in done), sum(each.rides for each in done))


def _look_after(
    ports: Stores, rides: Sequence[Ride], now: datetime, time_left: Callable[[], bool]
) -> int:
    """Ends and expiries first, since nobody else brings them about; returns how many were seen."""
    waiting = [ride for ride in rides if ride.only_waits(now)]
    others = [ride for ride in rides if not ride.only_waits(now)]
    for seen, ride in enumerate(others):
        if seen and not time_left():
            return seen
        _take_step(ports, ride, now)
    for first in range(0, len(waiting), TOGETHER):
        if (first or others) and not time_left():
            return len(others) + first
        _trigger_again(ports, waiting[first : first + TOGETHER], now)
    return len(rides)


def _take_step(ports: Stores, ride: Ride, now: datetime) -> None:
    try:
        _LOOK_AFTER[ride.status](ports, ride, now)
    except Exception as error:
        # A defect that one ride brings to light must not cost the others their guarantee.
        _put_back(ports, ride, now, error)


def _trigger_again(ports: Stores, rides: Sequence[Ride], now: datetime) -> None:
    """Put waiting rides before the rounds of their zones, and look again before long."""
    seen = {ride.ride_id: ride for ride in rides}
    moved = _postpone(ports, rides, now)
    try:
        effects.trigger_rides(ports, moved)
    except Exception:
        # One of them is to blame: each is tried alone.
        for ride in moved:
            try:
                effects.trigger_rides(ports, [ride])
            except Exception as error:
                failed_looks = seen[ride.ride_id].failed_looks
                _put_back(ports, replace(ride, failed_looks=failed_looks), now, error)


def _postpone(ports: Stores, rides: Sequence[Ride], now: datetime) -> Sequence[Ride]:
    try:
        return ports.rides.postpone_all(
            [(ride, min(now + RETRY_EVERY, ride.deadline_at)) for ride in rides]
        )
    except Unavailable:
        raise
    except Exception as error:
        if len(rides) == 1:
            _put_back(ports, rides[0], now, error)
            return ()
        return [moved for ride in rides for moved in _postpone(ports, [ride], now)]


def _put_back(ports: Stores, ride: Ride, now: datetime, error: Exception) -> None:
    """Look again later, and each time it fails twice as late.

    A store that is away is no fault of the ride, so it waits no longer than a liveness check.
    """
    longest = LIVENESS_CHECK if isinstance(error, Unavailable) else LONGEST_PAUSE
    pause = min(RETRY_EVERY * 2 ** min(ride.failed_looks, 10), longest)
    _report(
        "ride put back",
        error,
        {
            "ride_id": ride.ride_id,
            "failed_looks": ride.failed_looks + 1,
            "pause_seconds": pause.total_seconds(),
        },
    )
    try:
        ports.rides.postpone(ride, now + pause, failed_looks=ride.failed_looks + 1)
    except Exception as failure:
        _report("ride not put back", failure, {"ride_id": ride.ride_id})


def _report(what: str, error: Exception, facts: dict[str, object]) -> None:
    """An error with its traceback, unless it is one of the domain's own."""
    expected = isinstance(error, DispatchError)
    logger.log(
        logging.WARNING if expected else logging.ERROR,
        what,
        extra={**facts, "cause": f"{type(error).__name__}: {error}"},
        exc_info=None if expected else error,
    )


def _look_after_requested(ports: Stores, ride: Ride, now: datetime) -> None:
    """The deadline has passed: only a plan keeps the ride open, and not for ever."""
    end = ports.rules.ends_at(ride, planned=_has_plan(ports, ride))
    if now >= end:
        _apply(ports, ride, now, lambda stored: stored.unmatched(now))
    elif ports.rides.postpone(ride, min(now + RETRY_EVERY, end)):
        effects.trigger_ride(ports, ride)


def _look_after_offered(ports: Stores, ride: Ride, now: datetime) -> None:
    ends_at = ride.offer_ends_at
    if ends_at is None or now < ends_at:
        return
    offered_at, most = ends_at - ports.rules.offer, ports.rules.offers_missed_max
    counts = _could_answer(ports, ride, offered_at, now)
    _apply(
        ports,
        ride,
        now,
        lambda stored: stored.offer_missed(now, ports.rules.deadline),
        lambda unicorn: unicorn.offer_missed(ride.ride_id, now, counts=counts, most=most),
    )


def _could_answer(ports: Stores, ride: Ride, offered_at: datetime, now: datetime) -> bool:
    """Whether the unicorn was there, and we were, while the ride was offered to it."""
    try:
        return ports.fleet.could_answer(ride.unicorn_id or "", offered_at, now)
    except Unavailable:
        return False


def _look_after_assigned(ports: Stores, ride: Ride, now: datetime) -> None:
    if ride.arrived_at and now >= ride.arrived_at + ports.rules.no_show:
        _apply(ports, ride, now, lambda r: r.canceled(CanceledBy.SYSTEM, "no_show", now))
        return
    if _is_mended(ports, ride, now):
        return
    seen = ports.fleet.presence(ride.unicorn_id or "", now)
    late, deadline = seen.silence - ports.rules.stale, ports.rules.deadline
    if late > timedelta() and is_outage(ports, ride, late, now):
        ports.rides.postpone(ride, now + LIVENESS_CHECK)
    elif late > timedelta():
        why = RideStep.FELL_SILENT
        _apply(ports, ride, now, lambda r: r.returned(now, deadline, why), silent=True)
    elif (verdict := coming.judge(ports, ride, seen, now)) is coming.Verdict.TAKE_BACK:
        _apply(ports, ride, now, lambda r: r.not_come_to(now, deadline))
    else:
        check = _next_check(now, late)
        show = ride.arrived_at + ports.rules.no_show if ride.arrived_at else check
        coming.look_again(ports, ride, verdict, now, min(check, show))


def _look_after_in_progress(ports: Stores, ride: Ride, now: datetime) -> None:
    if _is_mended(ports, ride, now):
        return
    silent = ports.fleet.presence(ride.unicorn_id or "", now).silence
    late = silent - max(LOST_AFTER, 3 * _trip_estimate(ports, ride, now))
    if late > timedelta() and is_outage(ports, ride, late, now):
        ports.rides.postpone(ride, now + LIVENESS_CHECK)
    elif late > timedelta():
        lost = "unicorn_lost"
        _apply(ports, ride, now, lambda r: r.canceled(CanceledBy.SYSTEM, lost, now), silent=True)
    else:
        ports.rides.postpone(ride, _next_check(now, late))


_LOOK_AFTER: Final[dict[RideStatus, Callable[[Stores, Ride, datetime], None]]] = {
    RideStatus.REQUESTED: _look_after_requested,
    RideStatus.OFFERED: _look_after_offered,
    RideStatus.MATCHED: _look_after_assigned,
    RideStatus.ARRIVED: _look_after_assigned,
    RideStatus.IN_PROGRESS: _look_after_in_progress,
}


def _is_mended(ports: Stores, ride: Ride, now: datetime) -> bool:
    """Whether the ride and its unicorn did not agree, and were made to.

    The fleet index tells whether that may be; only then both are read.
    """
    unicorn_id = ride.unicorn_id or ""
    known = ports.fleet.entries([unicorn_id], now).get(unicorn_id)
    if known is None or known.unicorn.ride_id == ride.ride_id:
        return False
    return mend(ports, ride.ride_id, unicorn_id, now) is not None


def _apply(
    ports: Stores,
    seen: Ride,
    now: datetime,
    step: Callable[[Ride], Ride],
    release: Callable[[Unicorn], Unicorn] | None = None,
    *,
    silent: bool = False,
) -> None:
    """Take the step if the ride still is in the state the sweep saw, and free its unicorn."""

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.version != seen.version:
            return ride, unicorn
        if unicorn is None:
            return step(ride), None
        if release:
            return step(ride), release(unicorn)
        return step(ride), unicorn.released(ride.ride_id, now, keep_accepting=not silent)

    carry_out(ports, seen, decide, now)


def _is_new(ports: Stores, now: datetime) -> bool:
    try:
        return ports.fleet.begin_epoch(now)
    except Unavailable:
        return False


def _has_plan(ports: Stores, ride: Ride) -> bool:
    try:
        return ports.waiting.plan_of(ride.zone, ride.ride_id) is not None
    except Unavailable:
        # Plans live in Redis alone: without it there is none.
        return False


def _next_check(now: datetime, late: timedelta) -> datetime:
    """Just after the silence could first exceed its limit.

    Each look at a ride costs writes (row and index), so one that cannot find anything is left out.
    """
    return now - late + CHECK_MARGIN


def _trip_estimate(ports: Stores, ride: Ride, now: datetime) -> timedelta:
    if ride.dropoff is None:
        return timedelta()
    travel = ports.times.telling(ride.zone, Kind.TRIP, now)
    return timedelta(seconds=seconds_between(travel, ride.pickup, ride.dropoff))
