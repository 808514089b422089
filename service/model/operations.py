"""Values that operators see and set: dead letters, audit entries, the state of dispatch, workers,
queues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class RepositioningLevel(StrEnum):
    """How strongly idle unicorns are sent to where riders will be."""

    OFF = "off"
    LEAN = "lean"
    """Unicorns drive few kilometres."""
    STRONG = "strong"
    """Riders wait less, and unicorns drive more kilometres."""


class DeadLetterKind(StrEnum):
    """What kind of thing a dead letter holds."""

    RIDE = "ride"
    """A ride that kills the process that works on it."""
    ENTRY = "entry"
    MESSAGE = "message"
    # The last two kinds are no longer written, but letters of the previous release are still
    # listed. Remove both kinds with the next release.


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Something that could not be worked on, and why. `excerpt`: the beginning of its content."""

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
    """A change that a member of staff made or tried. `subjects`: ids of what was changed, by their
    kind."""

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
class DispatchState:
    """What staff told dispatch: where it stands still, and how idle unicorns are repositioned."""

    everywhere: bool = False
    """Dispatch is paused in all zones."""
    zones: frozenset[str] = frozenset()
    """Zones that are paused by themselves, whatever `everywhere` says."""
    level: RepositioningLevel = RepositioningLevel.LEAN
    """The level in zones that have none of their own."""
    levels: Mapping[str, RepositioningLevel] = field(default_factory=dict)
    """The levels of zones that have their own."""

    def is_paused(self, zone: str) -> bool:
        return self.everywhere or zone in self.zones

    def level_of(self, zone: str) -> RepositioningLevel:
        """How strongly the zone's idle unicorns are repositioned; off everywhere is off here."""
        if self.level is RepositioningLevel.OFF or self.is_paused(zone):
            return RepositioningLevel.OFF
        return self.levels.get(zone, self.level)


WORKER_LOST_AFTER: Final = timedelta(seconds=8)
"""A worker without a heartbeat for this long is gone or hangs: it has missed four of them."""


class WorkerState(StrEnum):
    """Whether a worker sends heartbeats."""

    RUNNING = "running"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A worker's heartbeat. `memory_bytes`: resident memory, with that of its pool processes.

    `revision`: the commit that the worker was built from; empty if it is unknown.
    """

    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    active: int
    done: int
    failed: int
    memory_bytes: int
    revision: str = ""

    @property
    def worker_id(self) -> str:
        return worker_id(self.host, self.pid)

    def state_at(self, now: datetime) -> WorkerState:
        silent = now - self.beat_at
        return WorkerState.LOST if silent > WORKER_LOST_AFTER else WorkerState.RUNNING


def worker_id(host: str, pid: int) -> str:
    """The id of a worker's main process, unique over all machines."""
    return f"{host}:{pid}"


@dataclass(frozen=True, slots=True)
class QueueLength:
    """The messages of a queue that are waiting, and those taken but not yet acknowledged."""

    name: str
    ready: int
    unacked: int
