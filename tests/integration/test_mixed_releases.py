"""A process ignores or carries out the entries and jobs of another release, without an error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery

from service.bootstrap import build_ports, redis_stores
from service.core.ports import Ports
from service.core.rides import RideOrder, request_ride
from service.core.staff import enroll
from service.core.unicorns import set_availability
from service.model import RideStatus
from service.stores.broker import DISPATCH_QUEUE, ROUND_TASK, SWEEP_QUEUE, broker_options
from service.stores.entries import dump_ride
from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.waiting import RedisWaitingRides
from service.stores.redis.workers import RedisWorkers
from tests.contract.test_fleet_index import HERE, STALE, at
from tests.support.builders import BATTERY_PARK, NOW, a_ride, a_unicorn, a_usable_unicorn
from tests.support.fakes_redis import FakeRoundQueue
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

FROM_THE_FUTURE = '[99, {"shape": "unknown"}]'


def test_a_round_passes_over_a_ride_of_another_release(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=2)
    waiting, ride = RedisWaitingRides(RedisLink(client)), a_ride(note=None)
    waiting.add([ride])
    client.hset(keys.waiting(ride.zone), "other", FROM_THE_FUTURE)
    lease = waiting.take(ride.zone)
    assert lease
    assert lease.begin_round().rides == [ride]
    lease.release()


def test_a_ride_to_which_the_next_release_added_a_field_is_read(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=2)
    waiting, ride = RedisWaitingRides(RedisLink(client)), a_ride(note=None)
    schema, record = json.loads(dump_ride(ride))
    waiting.add([ride])
    text = json.dumps([schema, record | {"of_the_next_release": {"x": 1}}])
    client.hset(keys.waiting(ride.zone), ride.ride_id, text)
    lease = waiting.take(ride.zone)
    assert lease
    assert lease.begin_round().rides == [ride]
    lease.release()


@pytest.mark.parametrize("change", [{"revision": None}, {"of_the_next_release": 1}])
def test_workers_of_both_releases_are_listed(
    redis_server: RedisServer, change: dict[str, Any]
) -> None:
    client, now = connect(redis_server.url, timeout_seconds=2), datetime.now(UTC)
    record = {
        "host": "h",
        "pid": 1,
        "version": "1",
        "revision": "abc123",
        "active": 0,
        "done": 1,
        "failed": 0,
        "memory_bytes": 1,
        "started_at": now.isoformat(),
        "beat_at": now.isoformat(),
    } | change
    written = {name: value for name, value in record.items() if value is not None}
    client.hset(keys.WORKERS, "h:1", json.dumps(written))
    listed = {
        heartbeat.worker_id: heartbeat
        for heartbeat in RedisWorkers(RedisLink(client)).heartbeats(now)
    }
    assert listed["h:1"].revision == (written.get("revision") or "")


def test_a_unicorn_of_another_release_is_read_again(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=2)
    fleet = RedisFleetIndex(RedisLink(client), STALE)
    fleet.refresh(a_usable_unicorn(), NOW)
    client.hset(keys.unicorn("u1"), "state", FROM_THE_FUTURE)
    assert fleet.record("u1", at(HERE), NOW).unicorn is None
    assert fleet.entries(["u1"], NOW) == {}


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack, shared_redis_server: RedisServer
) -> Iterator[Stack]:
    """A worker of this release without beat, so that it gets only the jobs of the tests."""
    folder = tmp_path_factory.mktemp("mixed")
    with Stack(folder, ministack, shared_redis_server, roles=("worker",)) as stack:
        yield stack


def waiting_ride(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, str, str]:
    """A waiting ride with a unicorn in reach, without a published round."""
    for name, value in stack.ministack.environment.items():
        monkeypatch.setenv(name, value)
    settings = stack.settings()
    redis = redis_stores(settings, timeout_seconds=2)
    ports, now = build_ports(settings, redis, FakeRoundQueue()), datetime.now(UTC)
    unicorn = a_unicorn(unicorn_id=uuid.uuid4().hex, account_sub=uuid.uuid4().hex)
    enroll(ports, unicorn, BATTERY_PARK, now)
    set_availability(ports, unicorn.unicorn_id, True, now)
    ride, _ = request_ride(ports, RideOrder(rider_id=uuid.uuid4().hex, pickup=BATTERY_PARK), now)
    return ports, ride.ride_id, ride.zone


def publish(stack: Stack, task: str, queue: str, *args: Any, **named: Any) -> None:
    """Publish a job as another release does."""
    with Celery("other", broker=stack.redis.url, set_as_current=False) as app:
        app.conf.broker_transport_options = broker_options(timeout_seconds=2)
        app.send_task(task, args=args, kwargs=named, queue=queue)


def errors(stack: Stack) -> list[str]:
    """The worker's error lines. On ECS such lines stop a deployment."""
    lines = stack.log("worker").splitlines()
    return [line for line in lines if line[:1] == "{" and json.loads(line)["level"] == "ERROR"]


FORMS = {
    "of the previous release": (("request-1",), {}),
    "of the next release, with one more argument": (("request-1", {"why": "later"}), {}),
    "of the next release, with a named argument": (("request-1",), {"priority": 3}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_job_of_another_release_is_carried_out(
    worker: Stack, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    ports, ride_id, zone = waiting_ride(worker, monkeypatch)
    more, named = FORMS[form]
    publish(worker, ROUND_TASK, DISPATCH_QUEUE, zone, *more, **named)

    def is_matched() -> bool:
        ride = ports.rides.get(ride_id)
        return ride is not None and ride.status is RideStatus.MATCHED

    wait_until(is_matched, "the match")
    assert errors(worker) == []


def test_a_task_that_only_the_next_release_knows_is_no_error(
    worker: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(worker, "dispatch.of_the_next_release", SWEEP_QUEUE)
    wait_until(lambda: "a job of an unknown task" in worker.log("worker"), "the warning")
    assert errors(worker) == []
    ports, ride_id, zone = waiting_ride(worker, monkeypatch)
    publish(worker, ROUND_TASK, DISPATCH_QUEUE, zone, "request-1")
    wait_until(lambda: ports.rides.get(ride_id).status is RideStatus.MATCHED, "the next match")
