"""Leases, locks, tokens and copies that expire are renewed or replaced more than once.

Each lives for a few seconds at most, on real stores and by the real clock.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.settings import Settings
from service.stores import revocations as known_revocations
from service.stores.dynamodb import unicorns
from service.stores.dynamodb.schema import create_tables
from service.stores.dynamodb.unicorns import DynamoUnicorns
from service.stores.redis import leases, rounds
from service.stores.redis import locks as locks_module
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.locks import RedisLocks
from service.stores.redis.waiting import RedisWaitingRides
from service.stores.revocations import DynamoRevocations, KnownRevocations
from tests.support.builders import a_ride, a_unicorn
from tests.support.dynamodb import fresh_settings
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ZONE = a_ride().zone
LIFE_SECONDS = 2.0


@pytest.fixture
def link(redis_server: RedisServer) -> RedisLink:
    return RedisLink(connect(redis_server.url, timeout_seconds=2))


@pytest.fixture(scope="module")
def settings(ministack: MiniStack) -> Settings:
    settings = fresh_settings()
    create_tables(ministack.dynamodb_client(), settings)
    return settings


@pytest.fixture
def dynamodb(ministack: MiniStack, settings: Settings) -> DynamoDBClient:
    return ministack.dynamodb_client()


def test_a_round_that_takes_many_lives_of_its_lease_keeps_the_zone_and_writes(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (leases, rounds):
        monkeypatch.setattr(module, "LEASE_MS", int(LIFE_SECONDS * 1000))
    monkeypatch.setattr(leases, "RENEW_SECONDS", LIFE_SECONDS / 10)
    zones = RedisWaitingRides(link)
    zones.add([a_ride(ride_id="ride-1")])
    holder = zones.take(ZONE)
    assert holder
    assert [ride.ride_id for ride in holder.begin_round().rides] == ["ride-1"]
    end = time.monotonic() + 3 * LIFE_SECONDS
    while time.monotonic() < end:
        assert zones.take(ZONE) is None, "a second job has the zone"
        time.sleep(LIFE_SECONDS / 5)
    holder.finish_round([], None)
    holder.release()
    successor = zones.take(ZONE)
    assert successor
    successor.release()


def test_a_lock_that_ran_out_goes_to_the_next_process_each_time(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_module, "LOCK_SECONDS", LIFE_SECONDS)
    locks = RedisLocks(link)
    with ExitStack() as slow_sweeps:
        for number in range(3):
            wait_until(lambda: slow_sweeps.enter_context(locks.hold("1")), f"lock {number}")
    with locks.hold("1") as mine:
        assert mine, "the last holder did not give its lock back"


def test_a_token_is_served_until_it_ends_and_its_successor_after_it(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    with Stack(tmp_path, ministack, redis_server, roles=("web",)) as stack:
        for _ in range(2):
            ends_at = int(time.time()) + 5
            token = stack.mint.access_token(
                sub="rider", username="rider", scope="wildrydes/rides.read", exp=ends_at
            )
            # The second answer rests on what the process remembers of the token.
            served = [stack.call("GET", "/v1/rides", token=token).status for _ in range(2)]
            assert served == [200, 200]
            wait_until(lambda ends_at=ends_at: time.time() >= ends_at, "the token's end")
            assert stack.call("GET", "/v1/rides", token=token).status == 401


def test_the_set_of_revocations_is_believed_and_learns_on_through_many_readings(
    dynamodb: DynamoDBClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_revocations, "READ_EVERY_SECONDS", LIFE_SECONDS / 20)
    monkeypatch.setattr(known_revocations, "BELIEVED_SECONDS", LIFE_SECONDS)
    stored = DynamoRevocations(dynamodb, settings.operations_table)
    here = KnownRevocations(stored, lambda _: None, lambda: datetime.now(UTC)).start()
    try:
        wait_until(lambda: here.current().is_whole, "the first reading")
        for number in range(3):
            end = time.monotonic() + LIFE_SECONDS
            name, now = f"token-{number}", datetime.now(UTC)
            stored.put("jti", name, revoked_at=now, expires_at=now + timedelta(hours=1))
            wait_until(lambda name=name: here.current().of({"jti": name}), name)
            wait_until(lambda end=end: time.monotonic() > end, "a life")
            wait_until(lambda: time.monotonic() < here.current().good_until, "belief")
    finally:
        here.close()


def test_an_account_that_is_moved_elsewhere_is_followed_each_time(
    dynamodb: DynamoDBClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unicorns, "ACCOUNT_REMEMBERED_SECONDS", LIFE_SECONDS)
    here, elsewhere = (DynamoUnicorns(dynamodb, settings.unicorns_table) for _ in range(2))
    for number in range(3):
        unicorn = a_unicorn(unicorn_id=f"u{number}", account_sub="driver")
        elsewhere.create(unicorn)
        wait_until(
            lambda number=number: here.of_account("driver") == f"u{number}", "the unicorn", 10
        )
        elsewhere.save(unicorn, replace(unicorn, version=2, account_sub=None))
