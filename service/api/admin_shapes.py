"""The shapes of what staff is shown."""

from __future__ import annotations

# Before Python 3.12 pydantic reads only this one's types.
from typing_extensions import TypedDict

from service.api.shapes import UnicornRepresentation
from service.model.operations import DeadLetterKind, WorkerState


class UnicornListView(TypedDict):
    unicorns: list[UnicornRepresentation]
    next_cursor: str | None


class WorkerView(TypedDict):
    worker_id: str
    state: WorkerState
    host: str
    pid: int
    version: str
    started_at: str
    last_beat: str
    active: int
    done: int
    failed: int
    memory_bytes: int


class WorkerListView(TypedDict):
    workers: list[WorkerView]
    next_cursor: str | None


class QueueView(TypedDict):
    name: str
    ready: int
    unacked: int
    oldest_waiting_seconds: float | None


class QueueListView(TypedDict):
    queues: list[QueueView]
    next_cursor: str | None


class DeadLetterView(TypedDict):
    dead_letter_id: str
    kind: DeadLetterKind
    cause: str
    set_aside_at: str
    replayed_at: str | None
    ride_id: str | None
    zone: str | None
    excerpt: str | None


class DeadLetterListView(TypedDict):
    dead_letters: list[DeadLetterView]
    next_cursor: str | None


class DispatchView(TypedDict):
    """Whether dispatch is paused everywhere, and in which zones besides."""

    paused: bool
    zones: list[str]
