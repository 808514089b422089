"""A worker outlives its broker."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from redis import Redis

from service.core.errors import Unavailable
from service.queues import DISPATCH_QUEUE
from service.round_queue import KEY_PREFIX, CeleryRoundQueue
from tests.infrastructure import MiniStack, RedisServer, wait_until
from tests.stack import Stack

RESTARTS = 4
QUEUE = f"{KEY_PREFIX}{DISPATCH_QUEUE}"


def test_a_busy_worker_survives_restarts_of_redis(tmp_path: Path, ministack: MiniStack) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        Stack(
            tmp_path,
            ministack,
            redis,
            roles=("worker", "beat"),
            # Jobs that are under way when the connection breaks, and end when it is closed.
            DISPATCH_WINDOW_MS="1000",
        ) as stack,
    ):
        worker = stack.processes["worker"]
        ended = threading.Event()
        load = threading.Thread(target=publish_until, args=(ended, redis.url))
        load.start()
        try:
            for _ in range(RESTARTS):
                earlier = jobs_under_way(redis)
                wait_until(lambda e=earlier: len(jobs_under_way(redis) - e) >= 2, "new jobs run")
                redis.kill()
                ended.wait(0.3)
                redis.start()
                assert worker.exit_code is None, worker.last_lines()
        finally:
            ended.set()
            load.join()
        assert worker.exit_code is None, worker.last_lines()
        with Redis.from_url(redis.url) as client:
            client.delete(QUEUE)  # the backlog of slow jobs is not what this is about
        CeleryRoundQueue(redis.url, timeout_seconds=1).publish(uuid.uuid4().hex, "last")
        wait_until(lambda: queue_is_empty(redis), "the worker takes jobs again")


def publish_until(ended: threading.Event, url: str) -> None:
    """Jobs of ever other zones, so that none waits for another's lease."""
    queue = CeleryRoundQueue(url, timeout_seconds=1)
    while not ended.is_set():
        try:
            queue.publish(uuid.uuid4().hex, "load")
            ended.wait(0.05)
        except Unavailable:
            ended.wait(0.05)


def jobs_under_way(redis: RedisServer) -> set[bytes]:
    with Redis.from_url(redis.url) as client:
        return set(client.hkeys(f"{KEY_PREFIX}unacked"))


def queue_is_empty(redis: RedisServer) -> bool:
    with Redis.from_url(redis.url) as client:
        return client.llen(QUEUE) == 0
