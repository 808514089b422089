"""A process's link to Redis under many callers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from service.stores.redis.link import RedisLink, connect
from tests.support.infrastructure import RedisServer

CALLERS = 150


def test_many_calls_at_once_are_no_failure_of_redis(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=5)
    link = RedisLink(client)

    def waits(number: int) -> object:
        with link.use() as redis:
            return redis.blpop([f"nothing-{number}"], 1)

    with client, ThreadPoolExecutor(CALLERS) as pool:
        assert list(pool.map(waits, range(CALLERS))) == [None] * CALLERS
