"""Jobs for a worker that is to be busy while its broker fails."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from service.model.errors import Unavailable
from service.stores.broker import DISPATCH_QUEUE, KEY_PREFIX, CeleryRoundQueue
from tests.support.infrastructure import RedisServer

QUEUE = f"{KEY_PREFIX}{DISPATCH_QUEUE}"
PAUSE_SECONDS = 0.05


@contextmanager
def busy(redis: RedisServer) -> Iterator[None]:
    """Publish jobs while the context lasts."""
    ended = threading.Event()
    load = threading.Thread(target=_publish_until, args=(ended, redis.url))
    load.start()
    try:
        yield
    finally:
        ended.set()
        load.join()


def under_way(redis: RedisServer) -> set[bytes]:
    """Jobs a worker has taken and not yet acknowledged."""
    with Redis.from_url(redis.url) as client:
        return set(client.hkeys(f"{KEY_PREFIX}unacked"))


def waiting(redis: RedisServer) -> int:
    """How many jobs nobody has taken."""
    with Redis.from_url(redis.url) as client:
        return int(client.llen(QUEUE))


def drop_waiting(redis: RedisServer) -> None:
    with Redis.from_url(redis.url) as client:
        client.delete(QUEUE)


def _publish_until(ended: threading.Event, url: str) -> None:
    """Jobs of ever other zones, so that none waits for another's lease."""
    queue = CeleryRoundQueue(url, timeout_seconds=1)
    while not ended.wait(PAUSE_SECONDS):
        try:
            queue.publish(uuid.uuid4().hex, "load")
        except Unavailable:
            continue
