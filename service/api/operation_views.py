"""Views of operations: workers, queues, dead letters, repairs, and what staff told dispatch."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.api.views import Instant, View
from service.core.reconcile import Mended
from service.model import RepositioningLevel
from service.model.operations import (
    DeadLetterKind,
    DispatchState,
    Heartbeat,
    QueueLength,
    WorkerState,
)
from service.stores.broker import DISPATCH_QUEUE


class WorkerView(View):
    worker_id: str
    state: WorkerState
    host: str
    pid: int
    version: str
    revision: str
    started_at: Instant
    last_beat: Instant
    active: int
    done: int
    failed: int
    memory_bytes: int


class WorkerListView(View):
    workers: list[WorkerView]
    next_cursor: str | None


class QueueView(View):
    name: str
    ready: int
    unacked: int
    oldest_waiting_seconds: float | None


class QueueListView(View):
    queues: list[QueueView]
    next_cursor: str | None


class DeadLetterView(View):
    dead_letter_id: str
    kind: DeadLetterKind
    cause: str
    set_aside_at: Instant
    replayed_at: Instant | None
    ride_id: str | None
    zone: str | None
    excerpt: str | None


class DeadLetterListView(View):
    dead_letters: list[DeadLetterView]
    next_cursor: str | None


class RepairView(View):
    what: Mended
    ride_id: str
    unicorn_id: str


class ReconciledView(View):
    """What was checked and repaired. `complete`: whether there was time for everything."""

    unicorns: int
    rides: int
    repairs: list[RepairView]
    complete: bool


class DispatchView(View):
    """Whether dispatch is paused everywhere, and the zones that are paused individually.

    `repositioning`: how strongly idle unicorns are sent to where riders will be, except in zones
    with a level of their own.
    """

    paused: bool
    zones: list[str]
    repositioning: RepositioningLevel
    repositioning_by_zone: dict[str, RepositioningLevel]


def worker_view(heartbeat: Heartbeat, now: datetime) -> WorkerView:
    return WorkerView.of(heartbeat, state=heartbeat.state_at(now), last_beat=heartbeat.beat_at)


def queue_view(queue: QueueLength, oldest_waiting: timedelta | None) -> QueueView:
    """A queue; `oldest_waiting` is shown for the queue of rounds only."""
    waited = oldest_waiting if queue.name == DISPATCH_QUEUE else None
    seconds = None if waited is None else waited.total_seconds()
    return QueueView.of(queue, oldest_waiting_seconds=seconds)


def dispatch_view(state: DispatchState) -> DispatchView:
    return DispatchView(
        paused=state.everywhere,
        zones=sorted(state.zones),
        repositioning=state.level,
        repositioning_by_zone=dict(sorted(state.levels.items())),
    )
