"""Ports of what operators read: lists, heartbeats of workers, queue lengths, the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from service.model import Page, Ride, RideStatus, Unicorn
from service.model.operations import AuditEntry, Heartbeat, QueueLength


class Workers(Protocol):
    """The heartbeats of workers. May raise `Unavailable`."""

    def heartbeats(self, now: datetime) -> Sequence[Heartbeat]:
        """The last heartbeat of each worker that has not signed off; each is kept for an hour."""


class Queues(Protocol):
    def lengths(self) -> Sequence[QueueLength]: ...


class RideHistory(Protocol):
    """All riders' rides by time. A ride that changed a moment ago may be missing from the listing,
    but each listed ride is shown as it is stored."""

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

        A page may have fewer than `limit` rides, or none, and still have a `next_key`, because a
        call reads a bounded number of rides.
        """


class Roster(Protocol):
    """The whole fleet as stored, in no particular order."""

    def unicorns(self, *, limit: int, start: Mapping[str, str] | None) -> Page[Unicorn]:
        """Unicorns from the continuation key `start` on; a page may have fewer than `limit`."""


class AuditLog(Protocol):
    """The changes that staff made, until they expire."""

    def put(self, entry: AuditEntry) -> None: ...

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[AuditEntry]:
        """Entries, newest first, from the continuation key `start` on."""
