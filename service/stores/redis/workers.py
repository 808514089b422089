"""Heartbeats of workers: each says every few seconds how it is, all in one hash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from service.model.operations import Beat
from service.stores.entries import UNREADABLE
from service.stores.records import record_of, value_of
from service.stores.redis import keys
from service.stores.redis.link import RedisLink

REMEMBERED: Final = timedelta(hours=1)
"""How long a worker that was heard of no more is shown as lost."""


class RedisWorkers:
    """`Workers`, and what the workers write. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def beat(self, beat: Beat) -> None:
        """Note that a worker lives, and how it is."""
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            pipe.hset(keys.WORKERS, beat.worker_id, json.dumps(record_of(beat)))
            pipe.expire(keys.WORKERS, REMEMBERED)
            pipe.execute()

    def leave(self, worker_id: str) -> None:
        """A worker ends as it should: it is not lost, so it is not shown."""
        with self._link.use() as client:
            client.hdel(keys.WORKERS, worker_id)

    def beats(self, now: datetime) -> Sequence[Beat]:
        with self._link.use() as client:
            texts = cast("dict[str, str]", client.hgetall(keys.WORKERS))
            beats = {name: beat for name, text in texts.items() if (beat := _beat(text))}
            old = [name for name in texts if _is_old(beats.get(name), now)]
            if old:
                client.hdel(keys.WORKERS, *old)
        return [beat for name, beat in sorted(beats.items()) if name not in old]


def _is_old(beat: Beat | None, now: datetime) -> bool:
    return beat is None or now - beat.beat_at > REMEMBERED


def _beat(text: str) -> Beat | None:
    """None for what this release cannot read."""
    try:
        return value_of(Beat, json.loads(text))
    except UNREADABLE:
        return None
