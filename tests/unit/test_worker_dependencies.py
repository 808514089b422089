"""The use cases of a pool process of a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.core.moves import Repositioner, RunReport
from service.model.errors import Unavailable
from service.observability.instruments import (
    DEMAND,
    DEMAND_KINDS,
    MOVE_OUTCOMES,
    MOVED_METRES,
    MOVES,
    SWEPT,
)
from service.stores.redis.locks import RedisLocks
from tests.support.builders import NOW
from worker import dependencies
from worker.dependencies import SWEEP_BUDGET_SECONDS, Dependencies, _in_parallel

JOB: ContextVar[str] = ContextVar("job")

REPORT = RunReport(
    sent=1, followed=2, ignored=3, rewarded=4, metres=5, predicted=6, real=7, apart=8
)


def counted() -> list[float]:
    """The counters of a run: unicorns, riders and metres."""
    children = [MOVES.labels(outcome) for outcome in MOVE_OUTCOMES]
    children += [DEMAND.labels(kind) for kind in DEMAND_KINDS]
    return [child._value.get() for child in (*children, MOVED_METRES)]


class Locks:
    def __init__(self, is_mine: bool) -> None:
        self._is_mine = is_mine

    @contextmanager
    def hold(self, _name: str) -> Iterator[bool]:
        yield self._is_mine


class Runs:
    """A repositioner that has always the same report."""

    def run(self, *_: object) -> RunReport:
        return REPORT


@pytest.mark.parametrize("is_mine", [True, False])
def test_only_the_worker_with_the_lock_repositions_a_zone_and_counts_its_results(
    is_mine: bool,
) -> None:
    others: Any = dict.fromkeys(Dependencies.__slots__)
    parts = others | {
        "locks": cast(RedisLocks, Locks(is_mine)),
        "repositioner": cast(Repositioner, Runs()),
        "now": lambda: NOW,
    }
    before = counted()
    Dependencies(**parts).reposition("zone")
    increases = [new - old for new, old in zip(counted(), before, strict=True)]
    assert increases == ([1, 2, 3, 4, 6, 7, 8, 5] if is_mine else [0] * 8)


def test_claims_run_in_parallel_in_the_context_of_their_job() -> None:
    at_once = threading.Barrier(2)

    def claim(each: object) -> object:
        at_once.wait(30)
        return each, JOB.get()

    token = JOB.set("job-1")
    with ThreadPoolExecutor(2) as pool:
        commit_all: Any = _in_parallel(pool)
        assert list(commit_all(claim, ["a", "b"])) == [("a", "job-1"), ("b", "job-1")]
        assert list(commit_all(lambda _: threading.get_ident(), ["a"])) == [threading.get_ident()]
    JOB.reset(token)


@pytest.mark.parametrize("shards", [0, 3])
def test_a_sweep_ends_within_its_budget_and_is_noted_only_if_it_swept_a_shard(
    monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    clock, goes_on = [0.0], list[bool]()

    def sweep(_ports: object, _now: object, has_time: Callable[[], bool], **_: object) -> Any:
        for clock[0] in (0.0, SWEEP_BUDGET_SECONDS):
            goes_on.append(has_time())
        return SimpleNamespace(shards=shards)

    monkeypatch.setattr(dependencies, "sweep", sweep)
    times = SimpleNamespace(monotonic=lambda: clock[0], time=lambda: 1.0)
    monkeypatch.setattr(dependencies, "time", times)
    SWEPT.set(0)
    parts: Any = dict.fromkeys(Dependencies.__slots__, SimpleNamespace(hold=None, map=None))
    Dependencies(**parts | {"now": lambda: NOW}).sweep()
    assert goes_on == [True, False]
    assert SWEPT._value.get() == (1.0 if shards else 0.0)


def dependencies_with(**parts: object) -> Dependencies:
    others: Any = dict.fromkeys(Dependencies.__slots__)
    return Dependencies(**others | {"now": lambda: NOW} | parts)


def test_each_zone_with_requests_gets_a_job_that_expires_with_its_period() -> None:
    published: list[tuple[str, timedelta]] = []
    dependencies_with(
        ports=SimpleNamespace(moves=SimpleNamespace(zones={NOW: ["a", "b"]}.__getitem__)),
        queue=SimpleNamespace(publish_reposition=lambda *job: published.append(job)),
        repositioner=SimpleNamespace(period=timedelta(seconds=30)),
    ).reposition_all()
    assert published == [("a", timedelta(seconds=30)), ("b", timedelta(seconds=30))]


def test_a_sweep_that_calls_for_help_publishes_another_and_needs_none() -> None:
    published: list[int] = []
    dependencies_with(
        queue=SimpleNamespace(publish_sweep=lambda: published.append(1))
    )._call_for_help()
    assert published == [1]

    def away() -> None:
        raise Unavailable("Redis is away")

    dependencies_with(queue=SimpleNamespace(publish_sweep=away))._call_for_help()
