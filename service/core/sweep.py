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
from itertools import chain, takewhile
from typing import Final

from service.core import effects
from service.core.looks import RETRY_EVERY, look
from service.core.ports import Stores
from service.model import LIVENESS_CHECK, Ride
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)

LONGEST_PAUSE: Final = timedelta(seconds=60)
"""Longest delay of a ride whose every look fails."""

BATCH: Final = 500
"""Rides of a shard that are read for one run, some more than it has time for; the next run is a
second away."""

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
    monotonic: Callable[[], float] = lambda: 0.0,
) -> Swept:
    """Look after the rides that are due, in every shard that is free.

    Ends when nothing is due or `time_left` says no: the rest is for the next sweep. However slow
    the store is, as much time goes into the rides of a shard as reading them took (`monotonic`,
    seconds). Calls for help once if a shard has more than one run can look after, so that other
    workers take other shards.
    """
    # A new Redis knows no waiting ride; each is due within this interval, so look at them all.
    until = now + (RETRY_EVERY if _is_new(ports, now) else timedelta())
    helpers = [call_for_help]

    def look_after(shard: str) -> Swept:
        with turn(shard) as mine:
            if not mine or not time_left():
                return Swept()
            began = monotonic()
            rides = ports.rides.due(until, BATCH, shard)
            read = monotonic()
            # The index may be a moment old, so a full batch can lose some.
            if 2 * len(rides) > BATCH and helpers:
                helpers.pop()()
            end = read + (read - began)
            return Swept(
                1, _look_after(ports, rides, now, lambda: time_left() or monotonic() < end)
            )

    def run(shard: str) -> Swept:
        try:
            return look_after(shard)
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
    seen = _take_steps(ports, others, now, time_left)
    if seen < len(others):
        return seen
    for first in range(0, len(waiting), TOGETHER):
        if (first or others) and not time_left():
            return seen + first
        _trigger_again(ports, waiting[first : first + TOGETHER], now)
    return len(rides)


def _take_steps(
    ports: Stores, rides: Sequence[Ride], now: datetime, time_left: Callable[[], bool]
) -> int:
    """Take the steps that are due; rides that need none are postponed together.

    Returns how many were seen, at least one.
    """
    in_time = chain(rides[:1], takewhile(lambda _: time_left(), rides[1:]))
    seen = [(ride, _take_step(ports, ride, now)) for ride in in_time]
    _postpone(ports, [(ride, due_at) for ride, due_at in seen if due_at], now)
    return len(seen)


def _take_step(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    try:
        return look(ports, ride, now)
    except Exception as error:
        # A defect that one ride brings to light must not cost the others their guarantee.
        _put_back(ports, ride, now, error)
        return None


def _trigger_again(ports: Stores, rides: Sequence[Ride], now: datetime) -> None:
    """Put waiting rides before the rounds of their zones, and look again before long."""
    seen = {ride.ride_id: ride for ride in rides}
    times = [(ride, min(now + RETRY_EVERY, ride.deadline_at)) for ride in rides]
    moved = _postpone(ports, times, now)
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


def _postpone(
    ports: Stores, times: Sequence[tuple[Ride, datetime]], now: datetime
) -> Sequence[Ride]:
    """Note when each ride is looked at next; returns those of which it could be noted."""
    try:
        return ports.rides.postpone_all(times)
    except Unavailable:
        raise
    except Exception as error:
        if len(times) == 1:
            _put_back(ports, times[0][0], now, error)
            return ()
        return [moved for each in times for moved in _postpone(ports, [each], now)]


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


def _is_new(ports: Stores, now: datetime) -> bool:
    try:
        return ports.fleet.begin_epoch(now)
    except Unavailable:
        return False
