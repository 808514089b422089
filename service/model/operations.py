"""What operators look at and steer: dead letters, the pause, workers, queues, rides by time.

The protocols are apart from those of the use cases of riders and unicorns; as there, every method
may raise `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from service.model import (
    Page,
    Ride,
    RideStatus,
    Unicorn,
)


class DeadLetterKind(StrEnum):
    """What was set aside."""

    RIDE = "ride"
    """A ride whose every round crashed."""
    ENTRY = "entry"
    """A waiting ride in Redis that nobody can read; the ride itself is in DynamoDB."""
    MESSAGE = "message"
    """A broker message that no worker can make sense of."""


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


class DeadLetters(Protocol):
    """What was set aside, until it is forgotten."""

    def put(self, letter: DeadLetter) -> None:
        """Keep a letter, in place of the one with this id."""

    def get(self, dead_letter_id: str) -> DeadLetter | None: ...

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        """Letters, newest first, from the continuation key `start` on."""

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        """Note that this letter was replayed, unless it has been set aside anew since."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Where dispatch stands still: `everywhere`, or in some zones."""

    everywhere: bool = False
    zones: frozenset[str] = frozenset()

    def covers(self, zone: str) -> bool:
        return self.everywhere or zone in self.zones


class Pauses(Protocol):
    """Whether dispatch is paused; what it says may be a few seconds old."""

    def current(self) -> Pause: ...

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Pause or resume a zone, or (none) everything; resuming everything resumes each zone."""

    def refresh(self) -> None:
        """Read it anew and let the other processes know; never raises."""


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


class Workers(Protocol):
    """The workers' own account of themselves."""

    def beats(self, now: datetime) -> Sequence[Beat]:
        """The last beat of each worker that did not say goodbye, for an hour after it."""


@dataclass(frozen=True, slots=True)
class QueueLength:
    """Messages of a queue that wait, and that a worker took and has not acknowledged."""

    name: str
    ready: int
    unacked: int


class Queues(Protocol):
    def lengths(self) -> Sequence[QueueLength]: ...


class RideHistory(Protocol):
    """All riders' rides by time. Eventually consistent which, consistent what they are."""

    def newest(
        self,
        *,
        since: datetime,
        until: datetime,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
    ) -> Page[Ride]:
        """Rides requested in this span, newest first, from the continuation key `start` on.

        A page may be short of `limit`, even empty, and still have a `next_key`: a call looks at
        a bounded number of rides.
        """


class Roster(Protocol):
    """The whole fleet as stored, in no order that means anything."""

    def unicorns(self, *, limit: int, start: Mapping[str, str] | None) -> Page[Unicorn]:
        """Unicorns from the continuation key `start` on; a page may be short of `limit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight:
    """What only operators ask."""

    history: RideHistory
    roster: Roster
    workers: Workers
    queues: Queues
