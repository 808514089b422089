"""What staff is shown of workers, queues, dead letters and the pause."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.api.admin_shapes import DeadLetterView, DispatchView, QueueView, WorkerView
from service.api.views import instant
from service.model.operations import (
    Beat,
    DeadLetter,
    Pause,
    QueueLength,
)
from service.queues import DISPATCH_QUEUE


def worker_view(beat: Beat, now: datetime) -> WorkerView:
    return {
        "worker_id": beat.worker_id,
        "state": beat.state_at(now),
        "host": beat.host,
        "pid": beat.pid,
        "version": beat.version,
        "started_at": instant(beat.started_at),
        "last_beat": instant(beat.beat_at),
        "active": beat.active,
        "done": beat.done,
        "failed": beat.failed,
        "memory_bytes": beat.memory_bytes,
    }


def queue_view(queue: QueueLength, oldest_waiting: timedelta | None) -> QueueView:
    """Rides wait for rounds, which come through one of the queues."""
    waited = oldest_waiting if queue.name == DISPATCH_QUEUE else None
    return {
        "name": queue.name,
        "ready": queue.ready,
        "unacked": queue.unacked,
        "oldest_waiting_seconds": waited.total_seconds() if waited else None,
    }


def dead_letter_view(letter: DeadLetter) -> DeadLetterView:
    return {
        "dead_letter_id": letter.dead_letter_id,
        "kind": letter.kind,
        "cause": letter.cause,
        "set_aside_at": instant(letter.set_aside_at),
        "replayed_at": instant(letter.replayed_at) if letter.replayed_at else None,
        "ride_id": letter.ride_id,
        "zone": letter.zone,
        "excerpt": letter.excerpt,
    }


def dispatch_view(pause: Pause) -> DispatchView:
    return {"paused": pause.everywhere, "zones": sorted(pause.zones)}
