"""Everything that a pool process works with, built once per process, after the fork."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.bootstrap import JOB_TIMEOUT_SECONDS, build_common_parts, city_map
from service.core.city_map import CityMap
from service.core.claims import Claim, Outcome
from service.core.learning import learn_from_legs
from service.core.moves import Repositioner, RunReport
from service.core.ports import LearnedCorrections, Ports
from service.core.rounds import Dispatcher
from service.core.statistics import Statistics, count_unicorns
from service.core.sweep import sweep
from service.matching.travel import NoWay
from service.matching.tuning import Tuning
from service.model.errors import Unavailable
from service.observability.instruments import (
    DEMAND,
    DEMAND_KINDS,
    MOVE_OUTCOMES,
    MOVED_METRES,
    MOVES,
    MOVES_SECONDS,
    SWEEP_SECONDS,
    SWEPT,
)
from service.settings import Settings, load
from service.stores.broker import CeleryRoundQueue
from service.stores.redis.locks import RedisLocks, repositioning_lock
from service.stores.redis.statistics import RedisStatistics
from service.stores.travel_times import learned_corrections, travel_times

PARALLEL_CLAIMS: Final = 8
"""The most claims at once. A claim mostly waits for DynamoDB; more claims would compete for the
interpreter's lock."""

SWEEP_BUDGET_SECONDS: Final = 2.0
"""After this time a sweep takes at most one more step and one more batch of a shard, unless reading
the shard's first rides took longer. Less than the lock of a shard lasts (`LOCK_SECONDS`). An idle
sweep takes about 0.05 s."""

SHARDS_AT_ONCE: Final = 4
"""How many of the eight shards a process sweeps at once. Then it sweeps the others, unless another
process does. While some wait for a store, one works: a step that waits 10 ms for stores takes
2.5 ms of CPU."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The use cases and ports of the tasks."""

    dispatcher: Dispatcher
    ports: Ports
    locks: RedisLocks
    queue: CeleryRoundQueue
    shards_at_once: ThreadPoolExecutor
    learned: LearnedCorrections
    city: CityMap
    statistics: Statistics
    repositioner: Repositioner
    now: Callable[[], datetime]

    def sweep(self) -> None:
        """Sweep the shards that no other worker sweeps; sweeping one twice would only cost work."""
        end = time.monotonic() + SWEEP_BUDGET_SECONDS
        with SWEEP_SECONDS.time():
            swept = sweep(
                self.ports,
                self.now(),
                lambda: time.monotonic() < end,
                lock=self.locks.hold,
                run_all=self.shards_at_once.map,
                call_for_help=self._call_for_help,
                monotonic=time.monotonic,
            )
        if swept.shards:
            SWEPT.set(time.time())

    def _call_for_help(self) -> None:
        # A failure does not matter: the next sweep comes within a second.
        with suppress(Unavailable):
            self.queue.publish_sweep()

    def learn(self) -> None:
        """Learn travel times; two processes at once would only do the same work twice."""
        learn_from_legs(self.ports.legs, self.learned, self.ports.times.prior, self.now())

    def count(self) -> None:
        """Count the fleet. If two processes count at once, the later result stays."""
        count_unicorns(self.city, self.statistics, self.now())

    def reposition_all(self) -> None:
        """Publish a job for each zone. A zone whose job is lost gets no advice in this period."""
        for zone in self.ports.moves.zones(self.now()):
            self.queue.publish_reposition(zone, self.repositioner.period)

    def reposition(self, zone: str) -> None:
        """Advise the zone's idle unicorns, unless another worker does."""
        with self.locks.hold(repositioning_lock(zone)) as is_mine, MOVES_SECONDS.time():
            report = self.repositioner.run(zone, self.now()) if is_mine else None
        if report:
            _count(report)


_built: Dependencies | None = None


def build(settings: Settings) -> Dependencies:
    """Build this process's dependencies; called when a pool child starts."""
    global _built
    parts = build_common_parts(settings, "worker", timeout_seconds=JOB_TIMEOUT_SECONDS)
    redis, ports = parts.redis, parts.ports
    dispatcher = Dispatcher(
        ports=ports,
        dead_letters=ports.dead_letters,
        leases=redis.waiting,
        tuning=tuning_of(settings),
        now=parts.clock.now,
        monotonic=time.monotonic,
        sleep=time.sleep,
        commit_all=_in_parallel(ThreadPoolExecutor(PARALLEL_CLAIMS, "claim")),
        is_repositioning=settings.reposition_seconds > 0,
    )
    has_engine = bool(settings.travel_times_url)
    repositioner = Repositioner(
        moves=ports.moves,
        fleet=ports.fleet,
        control=ports.control,
        changes=ports.changes,
        times=ports.times,
        # Straight lines are good enough to choose where to wait. The engine is asked only about
        # the drives of the chosen unicorns.
        ways=travel_times(settings, otherwise=NoWay()) if has_engine else None,
        period=timedelta(seconds=settings.reposition_seconds),
    )
    _built = Dependencies(
        dispatcher=dispatcher,
        ports=ports,
        locks=RedisLocks(redis.link),
        queue=parts.rounds,
        shards_at_once=ThreadPoolExecutor(SHARDS_AT_ONCE, "sweep"),
        learned=learned_corrections(settings, parts.dynamodb),
        city=city_map(settings, redis),
        statistics=RedisStatistics(redis.link),
        repositioner=repositioner,
        now=parts.clock.now,
    )
    return _built


def tuning_of(settings: Settings) -> Tuning:
    """What a round weighs, from the settings."""
    return Tuning(
        max_pickup_eta_seconds=settings.dispatch_max_pickup_eta_seconds,
        plan_seconds=settings.dispatch_plan_seconds,
        deadline_seconds=settings.dispatch_deadline_seconds,
        equal_metres=settings.dispatch_equal_metres,
    )


def dependencies() -> Dependencies:
    """This process's dependencies.

    They are built here if `build` failed at the start of the process: Celery does not end a process
    whose start-up hook raised, and without another attempt every later job would fail.
    """
    return _built or build(load(Settings))


def _count(report: RunReport) -> None:
    for outcome in MOVE_OUTCOMES:
        MOVES.labels(outcome).inc(getattr(report, outcome))
    for what in DEMAND_KINDS:
        DEMAND.labels(what).inc(getattr(report, what))
    MOVED_METRES.inc(report.metres)


def _in_parallel(
    pool: ThreadPoolExecutor,
) -> Callable[[Callable[[Claim], Outcome], Sequence[Claim]], Iterable[Outcome]]:
    def commit_all(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> Iterable[Outcome]:
        # A single claim, the usual case under low load, needs no other thread.
        if len(claims) < 2:
            return map(claim, claims)
        # Each claim runs in a copy of this thread's context, so its logs and traces name the job.
        contexts = [copy_context() for _ in claims]
        return pool.map(lambda context, each: context.run(claim, each), contexts, claims)

    return commit_all
