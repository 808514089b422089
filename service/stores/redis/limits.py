"""Counters that all processes of the API share, for its rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from limits.storage import RedisStorage

from service.stores.redis import keys
from service.stores.redis.link import RedisLink

_COUNT: Final = RedisStorage.SCRIPT_INCR_EXPIRE.decode()
"""Sent as text: for a registered script redis-py asks first whether the server knows it."""


class RedisCounters:
    """Counters by name, each with a life of its own. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def add(self, hits: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """Raise each counter; what they say now, the hits of others included.

        `hits`: by name how many, and how many seconds a counter lives that did not exist. One
        round trip, however many.
        """
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for name, (amount, seconds) in hits.items():
                pipe.eval(_COUNT, 1, keys.hits(name), str(seconds), str(amount))
            return dict(zip(hits, pipe.execute(), strict=True))
