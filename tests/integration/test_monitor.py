"""Task events begin when a monitor asks for them, unless there is to be no monitor."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from service.stores.broker import broker_options
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
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
