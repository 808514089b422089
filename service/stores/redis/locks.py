"""Locks on a shard of the open rides, or on a zone's repositioning. They expire by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from redis.exceptions import LockError

from service.model.errors import Unavailable
from service.stores.redis import keys
from service.stores.redis.link import RedisStore

LOCK_SECONDS: Final = 3.0
"""When the lock expires: longer than a sweep's budget. A dead process blocks its shard for no
longer than this."""


def repositioning_lock(zone: str) -> str:
    """The name of the lock under which a zone is repositioned, beside those of the shards.

    It has no colon, because `misplaced` recognises keys by their parts, which have none.
    """
    return f"moves-{zone}"


class RedisLocks(RedisStore):
    """Locks that processes share."""

    @contextmanager
    def hold(self, shard: str) -> Iterator[bool]:
        """Hold the lock of a shard, or the one that `repositioning_lock` names.

        Yields True if the caller may do the work; while Redis is away every caller may. The lock
        ends with the block, whatever happens in it.
        """
        name = keys.sweep_lock(shard)
        lock = self._link.client.lock(name, timeout=LOCK_SECONDS)
        mine = True
        with suppress(Unavailable), self._link.use():
            mine = lock.acquire(blocking=False)
            if not mine:
                # A key of a wrong type is a lock that nobody releases. This call fails on it, and
                # then `link` deletes the key.
                lock.owned()
        try:
            yield mine
        finally:
            if mine:
                # If Redis was away, or the lock has expired, there is nothing to release.
                with suppress(Unavailable), self._link.use(), suppress(LockError):
                    lock.release()
