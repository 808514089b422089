"""Heartbeats, lengths of queues and crashed rounds, on a real Redis."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from service.model.operations import Heartbeat, QueueLength, WorkerState
from service.stores.broker import KEY_PREFIX, RedisQueues
from service.stores.redis import keys
from service.stores.redis.link import RedisLink
from service.stores.redis.rounds import RedisRoundLease
from service.stores.redis.waiting import RedisWaitingRides
from service.stores.redis.workers import REMEMBERED, RedisWorkers
from tests.support.builders import NOW, a_ride

HEARTBEAT = Heartbeat(
    host="host-1",
    pid=7,
    version="2026.11",
    started_at=NOW,
    beat_at=NOW,
    active=1,
    done=20,
    failed=3,
    memory_bytes=123_456_789,
)


@pytest.fixture
def client(link: RedisLink) -> Redis:
    return link.client


def take(waiting: RedisWaitingRides, zone: str) -> RedisRoundLease:
    lease = waiting.take(zone)
    assert lease
    return lease


def by_redis(client: Redis) -> datetime:
    """The time by Redis' own clock, which workers go by."""
    seconds, micros = client.time()
    return datetime.fromtimestamp(seconds + micros / 1e6, UTC)


def seen(workers: RedisWorkers, now: datetime) -> dict[tuple[int, int], WorkerState]:
    """How each worker is, by its process and the jobs it has done."""
    return {
        (heartbeat.pid, heartbeat.done): heartbeat.state_at(now)
        for heartbeat in workers.heartbeats(now)
    }


def test_a_worker_is_known_by_its_last_beat_until_it_leaves(link: RedisLink, client: Redis) -> None:
    workers, now = RedisWorkers(link), by_redis(client)
    heartbeat = replace(HEARTBEAT, beat_at=now)
    for each in (heartbeat, replace(heartbeat, done=21), replace(heartbeat, pid=8)):
        workers.note(each)
    both = {(7, 21): WorkerState.RUNNING, (8, 20): WorkerState.RUNNING}
    assert seen(workers, by_redis(client)) == both
    workers.leave(replace(heartbeat, pid=8).worker_id)
    assert seen(workers, by_redis(client)) == {(7, 21): WorkerState.RUNNING}


@pytest.mark.parametrize(
    ("silent_seconds", "state"),
    [
        (4, WorkerState.RUNNING),
        (10, WorkerState.LOST),
        (REMEMBERED.total_seconds() - 60, WorkerState.LOST),
        (REMEMBERED.total_seconds() + 1, None),
    ],
)
def test_a_silent_worker_is_lost_and_then_forgotten(
    link: RedisLink, client: Redis, silent_seconds: float, state: WorkerState | None
) -> None:
    workers, now = RedisWorkers(link), by_redis(client)
    workers.note(replace(HEARTBEAT, beat_at=now - timedelta(seconds=silent_seconds)))
    assert seen(workers, now) == ({(7, 20): state} if state else {})
    assert bool(client.hlen(keys.WORKERS)) == bool(state)


@pytest.mark.parametrize("off_seconds", [-86_400, -60, 60, 86_400])
def test_workers_are_judged_by_the_clock_of_redis_which_they_use(
    link: RedisLink, client: Redis, off_seconds: float
) -> None:
    """Redis' clock may be off: the API goes by the middle one of three, workers by Redis alone."""
    workers, now = RedisWorkers(link), by_redis(client)
    workers.note(replace(HEARTBEAT, started_at=now - timedelta(seconds=50), beat_at=now))
    true_now = by_redis(client) - timedelta(seconds=off_seconds)
    (heartbeat,) = workers.heartbeats(true_now)
    assert heartbeat.state_at(true_now) is WorkerState.RUNNING
    assert abs(true_now - heartbeat.beat_at) < timedelta(seconds=5)
    assert heartbeat.beat_at - heartbeat.started_at == timedelta(seconds=50)


def test_a_beat_of_another_release_hides_no_other(link: RedisLink, client: Redis) -> None:
    workers, now = RedisWorkers(link), by_redis(client)
    workers.note(replace(HEARTBEAT, beat_at=now))
    for number, text in enumerate(("?", "[]", "{}", '{"host": 5, "beat_at": 5}')):
        client.hset(keys.WORKERS, f"other-{number}", text)
    assert seen(workers, now) == {(7, 20): WorkerState.RUNNING}


def test_queues_count_waiting_and_taken_jobs(link: RedisLink, client: Redis) -> None:
    queues = RedisQueues(link)
    assert queues.lengths() == [QueueLength("dispatch", 0, 0), QueueLength("sweep", 0, 0)]
    client.lpush(f"{KEY_PREFIX}dispatch", "a", "b")
    taken = {name: json.dumps([{}, "", name]) for name in ("dispatch", "sweep", "other")}
    client.hset(f"{KEY_PREFIX}unacked", mapping={**taken, "tag": "?"})
    assert queues.lengths() == [QueueLength("dispatch", 2, 1), QueueLength("sweep", 0, 1)]


def test_a_round_whose_process_died_leaves_its_rides_as_suspects(link: RedisLink) -> None:
    waiting, rides = RedisWaitingRides(link), [a_ride(ride_id=f"ride-{n}") for n in range(3)]
    zone = rides[0].zone
    for ride in rides[:2]:
        waiting.add([ride])
    lease = take(waiting, zone)
    assert lease.begin_round().suspects == {}
    lease.release()
    waiting.add([rides[2]])
    waiting.discard(zone, ["ride-0"])
    lease = take(waiting, zone)
    begun = lease.begin_round()
    assert {ride.ride_id for ride in begun.rides} == {"ride-1", "ride-2"}
    assert begun.suspects == {"ride-1": 0}
    lease.finish_round((), None)
    assert lease.begin_round().suspects == {"ride-1": 0}
    lease.finish_round((), None)
    lease.try_alone("ride-1")
    lease.release()
    lease = take(waiting, zone)
    assert lease.begin_round().suspects == {"ride-1": 1}
    lease.finish_round((), None)
    lease.clear("ride-1")
    assert lease.begin_round().suspects == {}


def test_thousands_of_rides_fit_into_one_round(link: RedisLink, client: Redis) -> None:
    waiting, ride = RedisWaitingRides(link), a_ride()
    client.hset(keys.waiting(ride.zone), mapping={f"ride-{n}": "[1, {}]" for n in range(20_000)})
    lease = take(waiting, ride.zone)
    assert lease.begin_round().rides == []
    assert client.scard(keys.running(ride.zone)) == 20_000
    assert client.hlen(keys.waiting(ride.zone)) == 0


def test_an_unreadable_entry_is_dropped_and_that_of_another_release_is_left(
    link: RedisLink, client: Redis
) -> None:
    waiting, ride = RedisWaitingRides(link), a_ride(note=None)
    waiting.add([ride])
    for name, text in (("bad", "{"), ("worse", "[1, {}]"), ("newer", '[99, {"shape": "?"}]')):
        client.hset(keys.waiting(ride.zone), name, text)
    lease = take(waiting, ride.zone)
    assert lease.begin_round().rides == [ride]
    assert set(client.hkeys(keys.waiting(ride.zone))) == {ride.ride_id, "newer"}
