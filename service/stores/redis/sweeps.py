"""Whose turn it is to sweep a shard of the open rides: a lock that ends by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from redis.exceptions import LockError

from service.model.errors import Unavailable
from service.stores.redis import keys
from service.stores.redis.link import RedisLink

TURN_SECONDS: Final = 3.0
"""More than a sweep's budget: a process that died keeps its shard no longer than this."""


class RedisSweepTurns:
    """Turns at the shards."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    @contextmanager
    def turn(self, shard: str) -> Iterator[bool]:
        """Whether it is the caller's turn; while Redis is away it is everybody's.

        The turn ends with the block, whatever happens in it.
        """
        name = keys.sweep_turn(shard)
        lock = self._link.client.lock(name, timeout=TURN_SECONDS, thread_local=False)
        mine = True
        with suppress(Unavailable), self._link.use():
            mine = lock.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                # Not taken while Redis was away, or over by itself: there is nothing to give back.
                with suppress(Unavailable), self._link.use(), suppress(LockError):
                    lock.release()
