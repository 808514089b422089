"""Entries in Redis that another release wrote are passed over, not stumbled over."""

from __future__ import annotations

from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.waiting import RedisWaitingRides
from tests.contract.test_fleet_index import HERE, STALE, at
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.infrastructure import RedisServer

FROM_THE_FUTURE = '[99, {"shape": "unknown"}]'


def test_a_round_passes_over_a_ride_of_another_release(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=2)
    waiting, ride = RedisWaitingRides(RedisLink(client)), a_ride(note=None)
    waiting.add(ride)
    client.hset(keys.waiting(ride.zone), "other", FROM_THE_FUTURE)
    lease = waiting.take(ride.zone)
    assert lease
    assert lease.begin_round().rides == [ride]
    lease.release()


def test_a_unicorn_of_another_release_is_read_again(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=2)
    fleet = RedisFleetIndex(RedisLink(client), STALE)
    fleet.refresh(a_usable_unicorn(), NOW)
    client.hset(keys.unicorn("u1"), "state", FROM_THE_FUTURE)
    assert fleet.record("u1", at(HERE), NOW).unicorn is None
    assert fleet.entries(["u1"], NOW) == {}
