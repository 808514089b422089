"""The counters behind the rate limits, in memory and on Redis; limits that processes share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from service.http.limits import Counters, Limiter
from service.model.errors import Unavailable
from service.stores.redis import keys
from service.stores.redis.limits import RedisCounters
from service.stores.redis.link import RedisLink, connect
from tests.support.fakes_redis import FakeCounters
from tests.support.infrastructure import RedisServer, free_port

SPAN = 1_700_000_000.0


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    with closing(connect(redis_server.url, timeout_seconds=2)) as client:
        yield RedisLink(client)


@pytest.fixture(params=["fake", "redis"])
def counters(request: pytest.FixtureRequest, link: RedisLink) -> Counters:
    return FakeCounters() if request.param == "fake" else RedisCounters(link)


def test_each_counter_says_what_all_have_added(counters: Counters) -> None:
    assert counters.add({"a": (2, 60), "b": (1, 60)}) == {"a": 2, "b": 1}
    assert counters.add({"a": (3, 60)}) == {"a": 5}
    assert counters.add({"b": (1, 60), "c": (4, 60)}) == {"b": 2, "c": 4}


def test_nothing_to_add_is_nothing_to_say(counters: Counters) -> None:
    assert counters.add({}) == {}


def test_a_counter_ends_with_its_span_however_often_it_is_raised(link: RedisLink) -> None:
    counters = RedisCounters(link)
    counters.add({"a": (1, 60)})
    link.client.expire(keys.hits("a"), 30)
    counters.add({"a": (1, 60)})
    assert 0 < link.client.ttl(keys.hits("a")) <= 30


def test_a_redis_that_is_gone_is_said_to_be(link: RedisLink) -> None:
    nowhere = connect(f"redis://127.0.0.1:{free_port()}/0", timeout_seconds=0.25)
    with pytest.raises(Unavailable):
        RedisCounters(RedisLink(nowhere)).add({"a": (1, 60)})


def limiter(link: RedisLink) -> Limiter:
    return Limiter(
        RedisCounters(link), subject="3/minute", address="100/minute", failures="2/minute"
    )


def test_two_processes_share_a_limit(link: RedisLink) -> None:
    one, two = limiter(link), limiter(link)
    allowed = [
        not process.admitted("s", "a", SPAN + step).is_exceeded
        for step, process in enumerate([one, two, one, two, one, two])
    ]
    assert allowed == [True, True, True, False, False, False]


def test_a_redis_that_hangs_refuses_nobody(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path) as server,
        closing(connect(server.url, timeout_seconds=0.25)) as client,
    ):
        process = limiter(RedisLink(client))
        process.admitted("s", "a", SPAN)
        server.pause()
        try:
            standings = [process.admitted("s", "a", SPAN + 1 + step / 100) for step in range(50)]
        finally:
            server.resume()
    assert not any(standing.is_exceeded for standing in standings)


def test_the_keys_of_the_limits_all_end(link: RedisLink, redis_server: RedisServer) -> None:
    limiter(link).admitted("s", "a", SPAN)
    with redis.Redis.from_url(redis_server.url) as client:
        assert all(0 < client.ttl(name) <= 60 for name in client.keys("*"))
