"""A shard is swept by one process at a time, and its lock ends however its sweep ends."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import Mock

import pytest
import redis

from service.stores.redis import keys
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.locks import RedisLocks
from tests.support.infrastructure import RedisServer


@pytest.fixture
def redis_client(redis_server: RedisServer) -> redis.Redis:
    return connect(redis_server.url, timeout_seconds=1)


@pytest.fixture
def locks(redis_client: redis.Redis) -> RedisLocks:
    return RedisLocks(RedisLink(redis_client))


def test_one_process_at_a_time_holds_a_shards_lock_and_other_shards_have_theirs(
    locks: RedisLocks,
) -> None:
    with locks.hold("1") as first, locks.hold("1") as second, locks.hold("2") as other:
        assert (first, second, other) == (True, False, True)
    with locks.hold("1") as again:
        assert again


def test_a_sweep_that_fails_releases_its_lock(locks: RedisLocks) -> None:
    with pytest.raises(ZeroDivisionError), locks.hold("1"):
        raise ZeroDivisionError
    with locks.hold("1") as mine:
        assert mine


def test_a_process_without_the_lock_does_not_release_it(locks: RedisLocks) -> None:
    with locks.hold("1"):
        with locks.hold("1"):
            pass
        with locks.hold("1") as third:
            assert not third


def test_an_expired_lock_is_not_taken_from_its_next_holder(
    locks: RedisLocks, redis_client: redis.Redis
) -> None:
    with locks.hold("1"):
        redis_client.set(keys.sweep_lock("1"), "another process", px=timedelta(seconds=2))
    assert redis_client.get(keys.sweep_lock("1")) == "another process"


def test_a_process_that_died_keeps_its_shard_for_three_seconds_at_most(
    locks: RedisLocks, redis_client: redis.Redis
) -> None:
    with locks.hold("1"):
        assert 0 < redis_client.pttl(keys.sweep_lock("1")) <= 3000


def test_every_process_sweeps_while_redis_is_away() -> None:
    away = Mock()
    away.lock.return_value.acquire.side_effect = redis.ConnectionError
    away.lock.return_value.release.side_effect = redis.ConnectionError
    with RedisLocks(RedisLink(away)).hold("1") as mine:
        assert mine
