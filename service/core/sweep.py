"""The sweep handles every open ride that is due, so that no ride is forgotten.

A ride in DynamoDB has the instant at which it is due (`due_at`). Whatever was lost on the way (a
job, a message, all of Redis, a process in the middle of its work), the sweep finds the ride in the
index of open rides. Two sweeps at once do no harm, because each write is conditional.

The index of open rides has shards. Each is swept separately, so that several workers can share a
backlog. A ride on which the sweep fails is put back with a growing delay, so it does not hold up
the others.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, takewhile
from typing import Final

from service.core import effects
from service.core.patrol import rides_to_check
from service.core.ports import Stores
from service.core.timeouts import RETRY_EVERY, handle_due
from service.model import ASSIGNED, LIVENESS_CHECK, Ride
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)

LONGEST_PAUSE: Final = timedelta(seconds=60)
"""The longest delay of a ride on which the sweep keeps failing."""

MOST_DUE: Final = 400
"""A sweep finds at most this many waiting rides of a shard, and at most as many others: about as
many as it has time for."""

BATCH_RIDES: Final = 100
"""The size of a batch: rides that one call reads, and waiting rides that one call triggers. With
larger batches a sweep would check the time left less often, and read rides in vain at its end."""

HELP_AFTER_RIDES: Final = 2 * BATCH_RIDES
"""A sweep that has seen this many rides of a shard, and finds more, publishes one more sweep job,
because the other shards probably have as many."""


RunAll = Callable[[Callable[[str], "Swept"], Sequence[str]], Iterable["Swept"]]
"""`map`, or a function like it that runs calls in parallel."""

ShardLock = Callable[[str], AbstractContextManager[bool]]
"""A lock on the shard with this name; yields True if the caller may sweep the shard now."""


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a sweep: the shards that it swept and the rides that it handled."""

    shards: int = 0
    rides: int = 0


def sweep(
    ports: Stores,
    now: datetime,
    time_left: Callable[[], bool] = lambda: True,
    *,
    lock: ShardLock = lambda shard: nullcontext(True),
    run_all: RunAll = map,
    call_for_help: Callable[[], None] = lambda: None,
    monotonic: Callable[[], float] = lambda: 0.0,
) -> Swept:
    """Handle the rides that are due, in every shard that no other process sweeps.

    Ends when nothing is due or `time_left` is False; the next sweep does the rest. With a slow
    store, the rides of a shard still get as much time as reading the first batch took
    (`monotonic`, seconds). Calls for help once if a shard has more than
    `HELP_AFTER_RIDES` rides, so that other workers sweep other shards.
    """
    # A new Redis knows no waiting ride. Each is due within `RETRY_EVERY` unless it was put
    # back, so handle every ride that is due within that time.
    until = now + (RETRY_EVERY if _is_new(ports, now) else timedelta())
    run = _Sweep(ports, now, until, time_left, lock, call_for_help, monotonic).run
    # In random order, so that no shard is always the last one when time runs out.
    done = list(run_all(run, random.sample(ports.rides.shards, len(ports.rides.shards))))
    return Swept(sum(each.shards for each in done), sum(each.rides for each in done))


@dataclass(slots=True)
class _Sweep:
    """One sweep; the arguments are those of `sweep`. `until`: rides due by then are handled."""

    ports: Stores
    now: datetime
    until: datetime
    time_left: Callable[[], bool]
    lock: ShardLock
    call_for_help: Callable[[], None]
    monotonic: Callable[[], float]
    has_called: bool = False

    def run(self, shard: str) -> Swept:
        """Sweep a shard, if no other process sweeps it."""
        try:
            with self.lock(shard) as mine:
                if not mine or not self.time_left():
                    return Swept()
                return Swept(1, self._sweep_shard(shard))
        except Exception as error:
            # The sweep of the other shards goes on.
            _report("shard not swept", error, {"shard": shard})
            return Swept()

    def _sweep_shard(self, shard: str) -> int:
        began, batches = self.monotonic(), self._due(shard)
        first = next(batches, ())
        read = self.monotonic()
        end = read + (read - began)
        run = _Run(self.ports, shard, self.now, lambda: self.time_left() or self.monotonic() < end)
        return run.handle(chain([first], batches))

    def _due(self, shard: str) -> Iterator[Sequence[Ride]]:
        seen = 0
        for rides in self.ports.rides.due_in_batches(shard, self.until, MOST_DUE, BATCH_RIDES):
            if seen >= HELP_AFTER_RIDES and not self.has_called:
                self.has_called = True
                self.call_for_help()
            yield rides
            seen += len(rides)


@dataclass(slots=True)
class _Run:
    """The work of one sweep on the due rides of one shard."""

    ports: Stores
    shard: str
    now: datetime
    time_left: Callable[[], bool]
    is_patrol_due: bool = True
    """Whether this run has yet to do the patrol of the shard."""

    def handle(self, batches: Iterable[Sequence[Ride]]) -> int:
        """Handle the rides, batch by batch, while there is time. Returns the number handled."""
        seen = 0
        for rides in batches:
            others = [ride for ride in rides if not ride.only_waits(self.now)]
            waiting = [ride for ride in rides if ride.only_waits(self.now)]
            steps = self._take_steps(others, at_least=0 if seen else 1)
            seen += steps
            if steps < len(others):
                return seen
            if waiting and not self._trigger(waiting):
                return seen
            seen += len(waiting)
        self._patrol_once()
        return seen

    def _trigger(self, waiting: Sequence[Ride]) -> bool:
        """Trigger waiting rides again. False if no time is left.

        The first batch of waiting rides is triggered even without time left.
        """
        is_first_waiting = self.is_patrol_due
        # The patrol comes first: a backlog of waiting rides must not hide a silent unicorn.
        self._patrol_once()
        if not is_first_waiting and not self.time_left():
            return False
        _trigger_again(self.ports, waiting, self.now)
        return True

    def _patrol_once(self) -> None:
        if self.is_patrol_due:
            self.is_patrol_due = False
            _go_on_patrol(self.ports, self.shard, self.now, self.time_left)

    def _take_steps(self, rides: Sequence[Ride], at_least: int) -> int:
        """Take the steps that are due; rides that need none are postponed together.

        Returns the number of rides seen. Takes at least `at_least` steps, even without time left.
        """
        further = takewhile(lambda _: self.time_left(), rides[at_least:])
        in_time = chain(rides[:at_least], further)
        seen = [(ride, _take_step(self.ports, ride, self.now)) for ride in in_time]
        _postpone(self.ports, [(ride, due_at) for ride, due_at in seen if due_at], self.now)
        return len(seen)


def _take_step(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    try:
        return handle_due(ports, ride, now)
    except Exception as error:
        # A defect that shows with one ride must not stop the sweep of the others.
        _put_back(ports, ride, now, error)
        return None


def _go_on_patrol(ports: Stores, shard: str, now: datetime, time_left: Callable[[], bool]) -> None:
    """Check the assigned rides of the shard with which something may be wrong, if a patrol is due.

    Their `due_at` stays, unless a step is taken, the verdict about the unicorn changes or the check
    fails. A patrol that ends before all are checked is
    repeated by the next sweep.
    """
    try:
        patrols = ports.fleet.patrols_due(shard, now)
        ride_ids = list(rides_to_check(ports, shard, patrols, now)) if patrols else []
        for ride_id in random.sample(ride_ids, len(ride_ids)):
            if not time_left():
                return
            _check_on_patrol(ports, ride_id, now)
        ports.fleet.note_patrols(shard, patrols, now)
    except Exception as error:
        # No unicorn counts as silent without Redis. Waiting rides do not depend on the patrol.
        _report("patrol failed", error, {"shard": shard})


def _check_on_patrol(ports: Stores, ride_id: str, now: datetime) -> None:
    try:
        ride = ports.rides.get(ride_id)
    except Unavailable:
        raise
    except Exception as error:
        # An unreadable row must not end the patrol of the other rides.
        _report("ride not checked", error, {"ride_id": ride_id})
        return
    if ride and ride.status in ASSIGNED:
        _take_step(ports, ride, now)


def _trigger_again(ports: Stores, rides: Sequence[Ride], now: datetime) -> None:
    """Postpone waiting rides, and trigger those that were postponed again."""
    seen = {ride.ride_id: ride for ride in rides}
    times = [(ride, min(now + RETRY_EVERY, ride.deadline_at)) for ride in rides]
    moved = _postpone(ports, times, now)
    try:
        effects.trigger_rides(ports, moved)
    except Exception:
        # One of these rides causes the error, so each is triggered alone.
        for ride in moved:
            try:
                effects.trigger_rides(ports, [ride])
            except Exception as error:
                # `postpone_all` has set the count of `ride` to 0.
                failed_looks = seen[ride.ride_id].failed_looks
                _put_back(ports, replace(ride, failed_looks=failed_looks), now, error)


def _postpone(
    ports: Stores, times: Sequence[tuple[Ride, datetime]], now: datetime
) -> Sequence[Ride]:
    """Store when each ride is due next; returns the rides that were postponed."""
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
    """Postpone a ride on which the sweep failed; each further failure doubles the delay.

    If a store is down, postpone it by `LIVENESS_CHECK` at most, because the ride is not the cause.
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
    """Log an error; with a traceback unless it is a `DispatchError`."""
    is_of_domain = isinstance(error, DispatchError)
    logger.log(
        logging.WARNING if is_of_domain else logging.ERROR,
        what,
        extra={**facts, "cause": f"{type(error).__name__}: {error}"},
        exc_info=None if is_of_domain else error,
    )


def _is_new(ports: Stores, now: datetime) -> bool:
    try:
        return ports.fleet.begin_epoch(now)
    except Unavailable:
        return False
