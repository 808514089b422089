"""Counters by the minute: the fake and Redis count the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.core.statistics import Statistics, Tally, minute_of
from service.stores.redis import keys
from service.stores.redis.link import RedisLink
from service.stores.redis.statistics import RedisStatistics
from tests.support.builders import NOW
from tests.support.fakes_redis import FakeStatistics

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["fake", "redis"])
def statistics(request: pytest.FixtureRequest) -> Statistics:
    if request.param == "redis":
        return RedisStatistics(request.getfixturevalue("link"))
    return FakeStatistics()


def test_each_minute_is_counted_by_itself(statistics: Statistics) -> None:
    for seconds in (0.5, 4.0, 1000.0):
        statistics.matched(seconds, NOW)
    statistics.matched(2.0, NOW - MINUTE)
    statistics.counted(1, 9, NOW)
    statistics.counted(3, 7, NOW)
    before, now = statistics.of([minute_of(NOW - MINUTE), minute_of(NOW)])
    assert (before.matches, before.seconds, before.busy) == (1, 2.0, None)
    assert (now.matches, now.seconds) == (3, 1004.5)
    assert (now.waits[0], now.waits[3], now.waits[-1]) == (1, 1, 1)
    assert (now.busy, now.on_duty) == (3, 7)
    assert statistics.of([minute_of(NOW - 2 * MINUTE)]) == [Tally()]


def test_counters_expire_and_texts_that_are_not_numbers_count_nothing(link: RedisLink) -> None:
    statistics = RedisStatistics(link)
    name = keys.statistics(int(minute_of(NOW).timestamp()))
    statistics.matched(1.0, NOW)
    statistics.counted(1, 2, NOW)
    assert 7100 < link.client.ttl(name) <= 7200
    link.client.hset(name, mapping={"busy": "x", "waited_ms": "-1", "wait:0": ""})
    assert statistics.of([minute_of(NOW)]) == [Tally(on_duty=2)]
