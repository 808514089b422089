"""What operators look at and steer: dead letters, the pause, workers, queues, rides by time.

The protocols are apart from those of the use cases of riders and unicorns; as there, every method
may raise `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class DeadLetterKind(StrEnum):
    """What was set aside."""

    RIDE = "ride"
    """A ride that kills the process that works on it."""
    ENTRY = "entry"
    MESSAGE = "message"
    # The last two are no longer written. Letters of the release before this one are still listed;
    # remove both kinds with the next release.


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Something that could not be worked on, and why. `excerpt`: how its content begins."""

    dead_letter_id: str
    kind: DeadLetterKind
    cause: str
    set_aside_at: datetime
    ride_id: str | None = None
    zone: str | None = None
    excerpt: str | None = None
    replayed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A member of staff changed something. `subjects`: what it was about, by kind of id."""

    audit_id: str
    at: datetime
    action: str
    sub: str | None
    client_id: str | None
    request_id: str
    method: str
    route: str | None
    subjects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Where dispatch stands still: `everywhere`, or in some zones."""

    everywhere: bool = False
    zones: frozenset[str] = frozenset()

    def covers(self, zone: str) -> bool:
        return self.everywhere or zone in self.zones


LOST_AFTER: Final = timedelta(seconds=8)
"""Workers beat every two seconds: one that missed four is gone, or hangs."""


class WorkerState(StrEnum):
    """Whether a worker is heard of."""

    RUNNING = "running"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a worker says of itself every few seconds. `memory_bytes`: resident, children too."""

    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    active: int
    done: int
    failed: int
    memory_bytes: int

    @property
    def worker_id(self) -> str:
        return worker_id(self.host, self.pid)

    def state_at(self, now: datetime) -> WorkerState:
        silent = now - self.beat_at
        return WorkerState.LOST if silent > LOST_AFTER else WorkerState.RUNNING


def worker_id(host: str, pid: int) -> str:
    """Names a worker's main process among all machines."""
    return f"{host}:{pid}"


@dataclass(frozen=True, slots=True)
class QueueLength:
    """Messages of a queue that wait, and that a worker took and has not acknowledged."""

    name: str
    ready: int
    unacked: int
