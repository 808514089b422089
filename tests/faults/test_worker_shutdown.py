"""A worker that is told to end under load finishes what it began and gives back the rest."""

from __future__ import annotations

import base64
import json
import signal
import time
import uuid
from pathlib import Path
from typing import Any

from redis import Redis

from service.stores.broker import DISPATCH_QUEUE, KEY_PREFIX, CeleryRoundQueue
from service.stores.redis import keys
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

JOBS = 12
QUEUE = f"{KEY_PREFIX}{DISPATCH_QUEUE}"
UNACKED = f"{KEY_PREFIX}unacked"


def zone_of_message(message: Any) -> str:
    """The zone of a published round, as Celery writes it."""
    [zone, _], *_ = json.loads(base64.b64decode(message["body"]))
    return str(zone)


def queued(client: Redis[bytes]) -> list[str]:
    return [zone_of_message(json.loads(text)) for text in client.lrange(QUEUE, 0, -1)]


def taken(client: Redis[bytes]) -> set[str]:
    """Zones of the messages a worker has, begun or not."""
    return {zone_of_message(json.loads(text)[0]) for text in client.hvals(UNACKED)}


def begun(client: Redis[bytes], zones: set[str]) -> set[str]:
    return {zone for zone in zones if client.exists(keys.lease(zone))}


def test_a_worker_told_to_end_finishes_what_it_began_and_returns_the_rest(
    tmp_path: Path, ministack: MiniStack
) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        # Each job takes a second, so that some are under way when the signal comes.
        Stack(
            tmp_path, ministack, redis, roles=("worker",), worker_app="tests.support.slow_worker"
        ) as stack,
        Redis.from_url(redis.url) as client,
    ):
        zones = {uuid.uuid4().hex for _ in range(JOBS)}
        publisher = CeleryRoundQueue(redis.url, timeout_seconds=1)
        for zone in zones:
            publisher.publish(zone, "load")
        wait_until(lambda: len(begun(client, zones)) == 2, "two jobs under way")
        under_way, worker = begun(client, zones), stack.processes["worker"]
        start = time.monotonic()
        worker.send(signal.SIGTERM)
        wait_until(lambda: worker.exit_code is not None, "the end of the worker")
        print(f"{len(under_way)} jobs under way, exit after {time.monotonic() - start:.2f} s")
        assert worker.exit_code == 0
        left = queued(client)
        assert taken(client) == set(), "kept by a worker that is gone"
        assert under_way.isdisjoint(left), "begun and given back"
        assert len(left) == len(set(left)), "given back twice"
        # At most one more per pool process can have begun before the signal came.
        assert len(left) >= JOBS - 4
        stack.start("worker")
        wait_until(lambda: not queued(client) and not taken(client), "the work of the others")
