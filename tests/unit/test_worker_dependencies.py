"""The use cases of a pool process of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from service.core.moves import Repositioner, RunReport
from service.observability.instruments import MOVE_OUTCOMES, MOVES
from service.stores.redis.locks import RedisLocks
from tests.support.builders import NOW
from worker.dependencies import Dependencies

REPORT = RunReport(sent=1, followed=2, ignored=3, rewarded=4, metres=5)


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


@pytest.mark.parametrize(("is_mine", "counted"), [(True, [1, 2, 3, 4]), (False, [0, 0, 0, 0])])
def test_only_the_worker_with_the_lock_repositions_a_zone_and_counts_its_results(
    is_mine: bool, counted: list[int]
) -> None:
    others: Any = dict.fromkeys(Dependencies.__slots__)
    parts = others | {
        "locks": cast(RedisLocks, Locks(is_mine)),
        "repositioner": cast(Repositioner, Runs()),
        "now": lambda: NOW,
    }
    before = [MOVES.labels(outcome)._value.get() for outcome in MOVE_OUTCOMES]
    Dependencies(**parts).reposition("zone")
    after = [MOVES.labels(outcome)._value.get() for outcome in MOVE_OUTCOMES]
    assert [new - old for new, old in zip(after, before, strict=True)] == counted
