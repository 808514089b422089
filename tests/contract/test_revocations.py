"""Revocations behave the same in memory, in DynamoDB, with Redis before it, and with Redis gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import pytest
import redis

from service.auth import policy
from service.auth.errors import AuthUnavailable
from service.auth.revocation import FRESH_SECONDS, RevocationCheck, RevocationStore
from service.model.errors import Unavailable
from service.settings import Settings
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.operations import DynamoRevocations
from service.stores.redis import keys
from service.stores.redis import revocations as cached
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.revocations import NOT_REVOKED_MS, RedisRevocations
from service.stores.revocations import CachedRevocations
from tests.support.api import a_principal
from tests.support.builders import NOW
from tests.support.dynamodb import fresh_settings
from tests.support.fakes_revocations import FakeRevocations
from tests.support.infrastructure import CREDENTIALS, RedisServer, free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = NOW + timedelta(hours=24)
SECOND = timedelta(seconds=1)
MARKS = {"jti": "token-1", "origin_jti": "login-1", "sub": "rider-1"}


class Revocations(RevocationStore, Protocol):
    """What the guard reads and the admin route writes."""

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None: ...


def revoke(store: Revocations, kind: str, at: datetime = NOW) -> None:
    store.put(kind, MARKS[kind], revoked_at=at, expires_at=at + timedelta(hours=24))


@pytest.fixture
def truth(dynamodb: DynamoDBClient, tables: Settings) -> DynamoRevocations:
    return DynamoRevocations(dynamodb, tables.operations_table)


@pytest.fixture
def gone_truth(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoRevocations]:
    """Nobody listens where DynamoDB should be."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{free_port()}")
    client = dynamodb_client(fresh_settings())
    yield DynamoRevocations(client, "Operations")
    client.close()


def cache_at(url: str) -> RedisRevocations:
    return RedisRevocations(RedisLink(connect(url, timeout_seconds=2)))


@pytest.fixture
def cache(redis_server: RedisServer) -> RedisRevocations:
    return cache_at(redis_server.url)


@pytest.fixture
def gone_cache() -> RedisRevocations:
    return cache_at(f"redis://127.0.0.1:{free_port()}/0")


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=["fake", "dynamodb", "with redis", "redis gone"])
def revocations(request: pytest.FixtureRequest) -> Revocations:
    if request.param == "fake":
        return FakeRevocations()
    truth: DynamoRevocations = request.getfixturevalue("truth")
    if request.param == "dynamodb":
        return truth
    name = "cache" if request.param == "with redis" else "gone_cache"
    return CachedRevocations(truth, request.getfixturevalue(name))


def test_only_what_is_revoked_is_found(revocations: Revocations) -> None:
    revoke(revocations, "jti")
    revocations.put("sub", "rider-9", revoked_at=NOW, expires_at=LATER)
    assert revocations.lookup(MARKS, NOW) == {"jti": NOW}
    assert revocations.lookup(MARKS | {"jti": "login-1"}, NOW) == {}
    assert revocations.lookup({}, NOW) == {}


def test_every_mark_of_a_token_counts(revocations: Revocations) -> None:
    for kind in MARKS:
        revoke(revocations, kind)
    assert revocations.lookup(MARKS, NOW) == dict.fromkeys(MARKS, NOW)


def test_a_revocation_counts_at_once_where_it_was_made(revocations: Revocations) -> None:
    for kind in MARKS:
        assert kind not in revocations.lookup(MARKS, NOW)
        revoke(revocations, kind)
        assert kind in revocations.lookup(MARKS, NOW)


@pytest.mark.parametrize("order", [(0, 5), (5, 0)], ids=["then later", "then earlier"])
def test_the_latest_revocation_holds(revocations: Revocations, order: tuple[int, int]) -> None:
    for seconds in order:
        revoke(revocations, "sub", NOW + seconds * SECOND)
        revocations.lookup(MARKS, NOW)
    assert revocations.lookup(MARKS, NOW) == {"sub": NOW + 5 * SECOND}


def test_a_revocation_ends(revocations: Revocations, client: redis.Redis) -> None:
    revoke(revocations, "jti")
    assert revocations.lookup(MARKS, LATER - SECOND) == {"jti": NOW}
    client.flushall()  # a cache may know it for a minute more, which harms nobody
    assert revocations.lookup(MARKS, LATER + SECOND) == {}


def test_another_process_obeys_at_once_while_redis_is_there(
    truth: DynamoRevocations, redis_server: RedisServer
) -> None:
    here, there = (CachedRevocations(truth, cache_at(redis_server.url)) for _ in range(2))
    assert there.lookup(MARKS, NOW) == {}
    revoke(here, "sub")
    assert there.lookup(MARKS, NOW) == {"sub": NOW}


def test_another_process_obeys_within_five_seconds_when_redis_could_not_be_told(
    truth: DynamoRevocations,
    cache: RedisRevocations,
    gone_cache: RedisRevocations,
    client: redis.Redis,
) -> None:
    there = CachedRevocations(truth, cache)
    there.lookup(MARKS, NOW)
    revoke(CachedRevocations(truth, gone_cache), "sub")
    name = keys.revocation("sub", MARKS["sub"])
    assert client.pttl(name) != -1, "kept for ever"
    assert client.pttl(name) <= NOT_REVOKED_MS <= (5 - FRESH_SECONDS) * 1000
    client.delete(name)
    assert there.lookup(MARKS, NOW) == {"sub": NOW}


def test_both_answers_are_kept_in_redis(
    truth: DynamoRevocations,
    cache: RedisRevocations,
    gone_truth: DynamoRevocations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cached, "NOT_REVOKED_MS", 60_000)
    revoke(truth, "sub")
    CachedRevocations(truth, cache).lookup(MARKS, NOW)
    assert cache.recall(MARKS) == {"jti": None, "origin_jti": None, "sub": NOW}
    assert CachedRevocations(gone_truth, cache).lookup(MARKS, NOW) == {"sub": NOW}


def test_redis_that_lost_its_memory_hides_nothing(
    truth: DynamoRevocations, cache: RedisRevocations, client: redis.Redis
) -> None:
    revocations = CachedRevocations(truth, cache)
    revoke(revocations, "jti")
    client.flushall()
    assert revocations.lookup(MARKS, NOW) == {"jti": NOW}


def test_an_answer_overtaken_by_a_revocation_does_not_hide_it(cache: RedisRevocations) -> None:
    cache.keep({"sub": "rider-1"}, {"sub": NOW})
    cache.keep({"sub": "rider-1"}, {})
    cache.keep({"sub": "rider-1"}, {"sub": NOW - SECOND})
    assert cache.recall({"sub": "rider-1"}) == {"sub": NOW}


def test_a_revocation_that_was_not_stored_is_not_claimed(
    cache: RedisRevocations, gone_truth: DynamoRevocations
) -> None:
    with pytest.raises(Unavailable):
        revoke(CachedRevocations(gone_truth, cache), "sub")
    assert cache.recall(MARKS) == {}


def test_with_both_stores_gone_writes_wait_and_reads_go_on(
    gone_truth: DynamoRevocations, gone_cache: RedisRevocations
) -> None:
    store = CachedRevocations(gone_truth, gone_cache)
    with pytest.raises(Unavailable):
        store.lookup(MARKS, NOW)
    check = RevocationCheck(store)
    caller = a_principal()
    check.check(caller, policy.RIDES_READ, "GET", NOW)
    with pytest.raises(AuthUnavailable):
        check.check(caller, policy.RIDES_WRITE, "POST", NOW)
    with pytest.raises(AuthUnavailable):
        check.check(caller, policy.ADMIN_READ, "GET", NOW)
