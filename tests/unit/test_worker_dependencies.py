"""The use cases of a pool process of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from service.core.moves import Repositioner, RunReport
from service.observability.instruments import (
    DEMAND,
    DEMAND_KINDS,
    MOVE_OUTCOMES,
    MOVED_METRES,
    MOVES,
)
from service.stores.redis.locks import RedisLocks
from tests.support.builders import NOW
from worker.dependencies import Dependencies

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
