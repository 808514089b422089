"""The monitor needs a login, and workers send task events only for a monitor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3
from celery import Celery
from redis import Redis
from urllib3.exceptions import HTTPError

from service.stores.broker import broker_options
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, free_port, wait_until
from tests.support.stack import Stack
from tests.unit.test_monitoring import OTHERS

LOGIN = "admin:secret"
SIGNED_IN = urllib3.make_headers(basic_auth=LOGIN)
MAX_TASKS = 5000
"""Of the monitor: some 20 MB."""


def asked_for_events(redis: RedisServer) -> list[object]:
    """The workers' answers to a monitor's request for task events."""
    with Celery("asking", broker=redis.url, set_as_current=False) as asking:
        asking.conf.broker_transport_options = broker_options(timeout_seconds=2)
        return list(asking.control.broadcast("enable_events", reply=True, timeout=1) or [])


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_workers_send_events_for_a_monitor_only(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer, enabled: str
) -> None:
    with (
        Redis.from_url(redis_server.url) as redis,
        redis.pubsub() as events,
        Stack(
            tmp_path, ministack, redis_server, roles=("worker",), MONITOR_ENABLED=enabled
        ) as stack,
    ):
        events.psubscribe("*celeryev*")
        assert events.get_message(timeout=5)["type"] == "psubscribe"
        wait_until(lambda: "ready" in stack.log("worker"), "the worker")
        assert bool(asked_for_events(redis_server)) == (enabled == "true")
        # A worker sends its first event before it is ready.
        assert bool(events.get_message(timeout=1)) == (enabled == "true")


TOLD_IN_A_CALLBACK = """
import os, signal, sys, time, weakref
from flower import command
from worker import monitor

class Thing:
    pass

def told(_):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100):
        pass

def run(_):
    signal.signal(signal.SIGTERM, command.sigterm_handler)
    thing = Thing()
    reference = weakref.ref(thing, told)
    del thing
    time.sleep(600)

monitor.load = monitor.options = lambda _: []
monitor.app.start = run
monitor.main()
"""


def test_a_monitor_that_is_told_to_stop_within_a_callback_ends() -> None:
    environment = {**os.environ, "AWS_REGION": "us-east-1", "REDIS_URL": "redis://127.0.0.1:1"}
    python = (sys.executable, "-c", TOLD_IN_A_CALLBACK)
    done = subprocess.run(python, cwd=PROJECT, env=environment, timeout=60)
    assert done.returncode == 0


@dataclass(frozen=True)
class Monitor:
    """A monitor that runs on the test's Redis, and what a page of it answers."""

    port: int
    prefix: str = ""

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        url = f"http://127.0.0.1:{self.port}{self.prefix}{path}"
        return urllib3.request("GET", url, headers=headers, retries=False, timeout=20)

    def is_up(self) -> bool:
        with suppress(HTTPError):
            return self.get("/healthcheck").status == 200
        return False


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def monitor(
    tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack, redis: RedisServer
) -> Iterator[Monitor]:
    folder = tmp_path_factory.mktemp("monitor")
    settings = {
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(free_port()),
        # Flower itself would take what follows the comma for a login, an empty one.
        "FLOWER_BASIC_AUTH": f"{LOGIN},",
        # No setting of ours. If Flower read it, the login alone would not be enough.
        "FLOWER_AUTH": "nobody@example.com",
    }
    with Stack(folder, ministack, redis, roles=("monitor",), **settings) as stack:
        found = Monitor(int(settings["FLOWER_PORT"]))
        wait_until(found.is_up, f"the monitor\n{stack.log('monitor')}")
        yield found


def test_everything_of_the_monitor_except_its_health_needs_the_login(monitor: Monitor) -> None:
    for path in ("/metrics", "/", "/api/workers", "/workers"):
        assert monitor.get(path).status == 401, path
        assert monitor.get(path, Authorization="Basic ====").status == 401, path
        assert monitor.get(path, **SIGNED_IN).status == 200, path


def test_a_monitor_with_a_prefix_answers_at_the_prefix(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    port = free_port()
    settings = {
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
        "FLOWER_BASIC_AUTH": LOGIN,
        "FLOWER_URL_PREFIX": "flower",
    }
    with Stack(tmp_path, ministack, redis_server, roles=("monitor",), **settings) as stack:
        monitor = Monitor(port, "/flower")
        wait_until(monitor.is_up, f"the monitor\n{stack.log('monitor')}")
        for path in ("", "/", "/workers"):
            assert monitor.get(path).status == 401, path
            assert monitor.get(path, **SIGNED_IN).status == 200, path


def test_a_monitor_that_ends_leaves_no_metrics_behind(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    metrics, port = free_port(), free_port()
    kept = f"wildrydes-metrics-{metrics}-*"
    settings = {
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
        "METRICS_PORT": str(metrics),
    }
    with Stack(tmp_path, ministack, redis_server, roles=("monitor",), **settings) as stack:
        wait_until(Monitor(port).is_up, f"the monitor\n{stack.log('monitor')}")
        (folder,) = [*Path("/dev/shm").glob(kept), *stack.temporary.glob(kept)]
    assert not folder.exists()


def test_the_monitor_counts_what_workers_report(monitor: Monitor, redis: RedisServer) -> None:
    """Uses the metric names of the dashboard. The monitor misses events from before it listens."""
    names = {name for name in OTHERS if name.startswith("flower_")}

    def missing() -> set[str]:
        found = monitor.get("/metrics", **SIGNED_IN).data.decode()
        return {name for name in names if f"\n{name}{{" not in found}

    with Celery("reporting", broker=redis.url, set_as_current=False) as app:
        app.conf.broker_transport_options = broker_options(timeout_seconds=2)
        with app.connection_for_write() as link, app.events.Dispatcher(link, "w1") as events:

            def is_counted() -> bool:
                events.send("worker-heartbeat", freq=2, active=1, processed=1)
                events.send("task-received", uuid="job-1", name="dispatch.round")
                events.send("task-succeeded", uuid="job-1", runtime=0.2, result="")
                return not missing()

            wait_until(is_counted, "the figures of the job")


def test_the_monitor_remembers_no_more_than_its_bound_of_jobs(
    monitor: Monitor, redis: RedisServer
) -> None:
    """It has read all events when it knows the last job."""
    with Celery("reporting", broker=redis.url, set_as_current=False) as app:
        app.conf.broker_transport_options = broker_options(timeout_seconds=2)
        with app.connection_for_write() as link, app.events.Dispatcher(link, "w1") as events:
            for number in range(MAX_TASKS + 200):
                events.send("task-received", uuid=f"job-{number}", name="dispatch.round")
    last = f"/api/task/info/job-{MAX_TASKS + 199}"
    wait_until(lambda: monitor.get(last, **SIGNED_IN).status == 200, "the last job")
    assert len(monitor.get("/api/tasks", **SIGNED_IN).json()) == MAX_TASKS
