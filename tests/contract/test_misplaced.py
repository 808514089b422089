"""A call on a Redis key of a wrong type fails once; then the service deletes the key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis

from service.core.sweep import sweep
from service.model import Location, Position, RideStatus
from service.model.errors import Unavailable
from service.model.presence import Patrol
from service.stores.redis import keys, misplaced
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.locks import RedisLocks, repositioning_lock
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.service import Service

RIDE = a_ride()
HERE = Position(Location(40.71, -74.0), NOW)
SHARD = "0"


@pytest.fixture
def client(link: RedisLink) -> redis.Redis:
    return link.client


def a_lock(link: RedisLink, name: str = SHARD) -> bool:
    with RedisLocks(link).hold(name) as is_mine:
        return is_mine


def a_lock_of_repositioning(link: RedisLink) -> bool:
    return a_lock(link, repositioning_lock(RIDE.zone))


def a_round(link: RedisLink) -> bool:
    waiting = RedisWaitingRides(link)
    is_published = bool(waiting.add([RIDE]))
    lease = waiting.take(RIDE.zone)
    assert lease
    try:
        found = [each.ride_id for each in lease.begin_round().rides]
        lease.try_alone(RIDE.ride_id)
        lease.clear(RIDE.ride_id)
        lease.finish_round([], None)
    finally:
        lease.release()
    return is_published and found == [RIDE.ride_id]


def a_look_at_unicorns(link: RedisLink) -> bool:
    fleet = RedisFleetIndex(link, timedelta(seconds=60))
    fleet.record_all({"u1": HERE, "u2": HERE}, NOW)
    fleet.refresh_all([a_usable_unicorn(unicorn_id="u2")], NOW)
    fleet.silent_together("u1", NOW)
    return {*fleet.presences(["u1", "u2"], NOW)} == {"u1", "u2"}


ZONE_KEYS = (keys.mark, keys.lease, keys.waiting, keys.plans, keys.running, keys.alone)


@pytest.mark.parametrize(
    ("key", "works"),
    [
        (keys.sweep_lock(SHARD), a_lock),
        (keys.sweep_lock(repositioning_lock(RIDE.zone)), a_lock_of_repositioning),
        *((of_zone(RIDE.zone), a_round) for of_zone in (*ZONE_KEYS, keys.triggered, keys.resume)),
        *((key, a_look_at_unicorns) for key in (keys.HEARING, keys.EPOCH, keys.BUSY)),
        (keys.unicorn("u1"), a_look_at_unicorns),
    ],
)
def test_a_call_on_a_key_of_a_wrong_type_succeeds_the_next_time(
    link: RedisLink, client: redis.Redis, key: str, works: Callable[[RedisLink], bool]
) -> None:
    client.rpush(key, "?")
    with suppress(Unavailable):
        works(link)
    client.delete(keys.mark(RIDE.zone))
    assert works(link)


@pytest.mark.parametrize("leave", ["set", "rpush"])
def test_a_patrol_is_due_if_its_key_never_expires(
    link: RedisLink, client: redis.Redis, leave: str
) -> None:
    getattr(client, leave)(keys.patrolled(SHARD, Patrol.SILENCE), "?")
    fleet = RedisFleetIndex(link, timedelta(seconds=60))
    assert set(fleet.patrols_due(SHARD, NOW)) == set(Patrol)
    fleet.note_patrols(SHARD, list(Patrol), NOW)
    assert fleet.patrols_due(SHARD, NOW) == []


def test_a_silent_unicorn_is_noticed_beside_a_key_of_a_wrong_type(
    link: RedisLink, client: redis.Redis
) -> None:
    """One unicorn of the shard has such a key; the other falls silent."""
    service, fleet = Service(), RedisFleetIndex(link, timedelta(seconds=60))
    service.rides.shards, service.rides.shard_of = (SHARD,), lambda ride_id: SHARD
    ride = service.matched()
    service.on_duty("u2")
    broken = service.request(rider_id="rider-2")
    service.run_published_rounds()
    assert service.stored(broken).unicorn_id == "u2"
    fleet.begin_epoch(service.now)
    service.ports = replace(service.ports, fleet=fleet)
    client.rpush(keys.unicorn("u2"), "?")
    seconds = 0
    while service.stored(ride).status is RideStatus.MATCHED and seconds < 90:
        seconds, now = seconds + 1, service.later(1)
        fleet.report_hearing("api", now)
        if seconds % 10 == 0:
            # Redis goes by its own clock, for which hardly any time has passed.
            client.delete(*(keys.patrolled(SHARD, patrol) for patrol in Patrol))
        sweep(service.ports, now)
    assert 60 < seconds <= 75


def test_foreign_keys_and_keys_of_the_right_type_stay(client: redis.Redis) -> None:
    client.set("wildrydes:of another kind", "1")
    client.set("{wildrydes}:dispatch", "1")
    client.rpush(keys.legs("z", "pickup"), "1")
    client.rpush(keys.fleet("z"), "1")
    misplaced.delete_misplaced(client)
    assert sorted(client.keys("*wildrydes*")) == [  # type: ignore[type-var]
        "wildrydes:of another kind",
        keys.legs("z", "pickup"),
        "{wildrydes}:dispatch",
    ]


def test_every_key_has_a_type() -> None:
    named: set[Any] = {name for names in misplaced.TYPES.values() for name in names}
    functions = {
        each for each in vars(keys).values() if getattr(each, "__module__", "") == keys.__name__
    }
    constants = {
        each for each in vars(keys).values() if isinstance(each, str) and ":" in each[:12]
    } - {keys.CHANGES}
    assert functions - {keys.former_channel} | constants == named
