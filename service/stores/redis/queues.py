"""How long the broker's queues are, read from its keys: asking the workers takes a second."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from service.model.operations import QueueLength
from service.queues import KEY_PREFIX, QUEUES
from service.stores.entries import UNREADABLE
from service.stores.redis.link import RedisLink

UNACKED: Final = f"{KEY_PREFIX}unacked"
"""Hash of what workers took (kombu's name): tag to message, exchange and routing key."""


class RedisQueues:
    """`Queues` of a Celery broker on Redis. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def lengths(self) -> Sequence[QueueLength]:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for name in QUEUES:
                pipe.llen(f"{KEY_PREFIX}{name}")
            pipe.hvals(UNACKED)
            *ready, taken = pipe.execute()
        unacked = Counter(map(_queue_of, taken))
        return [
            QueueLength(name, length, unacked[name])
            for name, length in zip(QUEUES, ready, strict=True)
        ]


def _queue_of(message: str) -> str:
    try:
        *_, routing_key = json.loads(message)
        return str(routing_key)
    except UNREADABLE:
        return ""
