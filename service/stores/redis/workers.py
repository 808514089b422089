"""Stores the heartbeats of workers, which each sends every two seconds, in one hash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from service.model.operations import Heartbeat
from service.stores.records import UNREADABLE, record_of, value_of
from service.stores.redis import keys
from service.stores.redis.link import RedisStore

REMEMBERED: Final = timedelta(hours=1)
"""How long a worker without heartbeats is shown as lost."""


class RedisWorkers(RedisStore):
    """`Workers`, and what the workers write. Raises `Unavailable`."""

    def note(self, heartbeat: Heartbeat) -> None:
        """Store a worker's heartbeat: one remote call."""
        with self._link.pipe() as pipe:
            pipe.hset(keys.WORKERS, heartbeat.worker_id, json.dumps(record_of(heartbeat)))
            pipe.expire(keys.WORKERS, REMEMBERED)
            pipe.execute()

    def leave(self, worker_id: str) -> None:
        """Remove a worker that ends normally, so that it is not shown as lost."""
        with self._link.use() as client:
            client.hdel(keys.WORKERS, worker_id)

    def heartbeats(self, now: datetime) -> Sequence[Heartbeat]:
        # A worker's main process goes by the clock of Redis (`worker.heartbeat.main_clock`), which
        # may be off. So its instants are set back to the service's time.
        with self._link.pipe() as pipe:
            pipe.time()
            pipe.hgetall(keys.WORKERS)
            (seconds, micros), texts = pipe.execute()
        ahead = datetime.fromtimestamp(seconds + micros / 1e6, UTC) - now
        found = {worker_id: _heartbeat(text) for worker_id, text in texts.items()}
        heartbeats = {
            worker_id: _set_back(heartbeat, ahead)
            for worker_id, heartbeat in found.items()
            if heartbeat
        }
        old = [worker_id for worker_id in texts if _is_old(heartbeats.get(worker_id), now)]
        if old:
            with self._link.use() as client:
                client.hdel(keys.WORKERS, *old)
        return [
            heartbeat for worker_id, heartbeat in sorted(heartbeats.items()) if worker_id not in old
        ]


def _set_back(heartbeat: Heartbeat, ahead: timedelta) -> Heartbeat:
    return replace(
        heartbeat, beat_at=heartbeat.beat_at - ahead, started_at=heartbeat.started_at - ahead
    )


def _is_old(heartbeat: Heartbeat | None, now: datetime) -> bool:
    return heartbeat is None or now - heartbeat.beat_at > REMEMBERED


def _heartbeat(text: str) -> Heartbeat | None:
    """None for what this release cannot read."""
    try:
        return value_of(Heartbeat, json.loads(text))
    except UNREADABLE:
        return None
