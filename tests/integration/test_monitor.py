"""The monitor is for those who sign in, and task events begin when one asks for them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import urllib3
from celery import Celery
from urllib3.exceptions import HTTPError

from service.stores.broker import broker_options
from tests.support.infrastructure import MiniStack, RedisServer, free_port, wait_until
from tests.support.stack import Stack


def asked_for_events(redis: RedisServer) -> list[object]:
    """What workers answer to the request a monitor makes."""
    with Celery("asking", broker=redis.url, set_as_current=False) as asking:
        asking.conf.broker_transport_options = broker_options(timeout_seconds=2)
        return list(asking.control.broadcast("enable_events", reply=True, timeout=1) or [])


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_workers_send_events_for_a_monitor_only(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer, enabled: str
) -> None:
    with Stack(
        tmp_path, ministack, redis_server, roles=("worker",), MONITOR_ENABLED=enabled
    ) as stack:
        wait_until(lambda: "ready" in stack.log("worker"), "the worker")
        assert bool(asked_for_events(redis_server)) == (enabled == "true")


def test_all_of_the_monitor_but_its_health_is_behind_the_login(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    port, login = free_port(), "admin:secret"
    with Stack(
        tmp_path,
        ministack,
        redis_server,
        roles=("monitor",),
        FLOWER_ADDRESS="127.0.0.1",
        FLOWER_PORT=str(port),
        FLOWER_BASIC_AUTH=login,
    ) as stack:

        def answered(path: str, **headers: str) -> int:
            url = f"http://127.0.0.1:{port}{path}"
            with suppress(HTTPError):
                return urllib3.request("GET", url, headers=headers, retries=False, timeout=5).status
            return 0

        wait_until(lambda: answered("/healthcheck") == 200, f"the monitor\n{stack.log('monitor')}")
        for path in ("/metrics", "/", "/api/workers", "/workers"):
            assert answered(path) == 401, path
            assert answered(path, **urllib3.make_headers(basic_auth=login)) == 200, path
