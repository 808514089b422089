"""What operators look at and steer, in memory, for tests whose unit is pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import gt, lt
from typing import Any, TypeVar

from service.model import Page, RepositioningLevel, Ride, RideStatus, Unicorn
from service.model.operations import AuditEntry, DeadLetter, DispatchState, Heartbeat, QueueLength
from service.stores.records import instant_text
from tests.support.fakes import FakeRides, FakeUnicorns

Value = TypeVar("Value")


def _page(
    values: Iterable[Value],
    key: Callable[[Value], Mapping[str, str]],
    *,
    limit: int,
    start: Mapping[str, str] | None,
    newest_first: bool = True,
) -> Page[Value]:
    """The values after the one whose key is `start`, in the order of the texts of their keys."""
    follows, order = lt if newest_first else gt, {}
    for value in values:
        texts = key(value)
        if start is None or follows([*texts.values()], [start[name] for name in texts]):
            order[tuple(texts.values())] = value
    found = [order[place] for place in sorted(order, reverse=newest_first)]
    return Page(tuple(found[:limit]), key(found[limit - 1]) if len(found) > limit else None)


class FakeControl:
    """`DispatchControl` in memory."""

    def __init__(self) -> None:
        self._state = DispatchState()

    def current(self) -> DispatchState:
        return self._state

    def set_paused(self, zone: str | None, paused: bool) -> DispatchState:
        if zone is None:
            zones = self._state.zones if paused else frozenset()
            self._state = replace(self._state, everywhere=paused, zones=zones)
        else:
            changed = self._state.zones | {zone} if paused else self._state.zones - {zone}
            self._state = replace(self._state, zones=changed)
        return self._state

    def reposition(self, zone: str | None, level: RepositioningLevel) -> DispatchState:
        if zone is None:
            self._state = replace(self._state, level=level)
        else:
            self._state = replace(self._state, levels={**self._state.levels, zone: level})
        return self._state


class FakeDeadLetters:
    """`DeadLetters` in memory."""

    def __init__(self) -> None:
        self._stored: dict[str, DeadLetter] = {}

    def put(self, letter: DeadLetter) -> None:
        self._stored[letter.dead_letter_id] = letter

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        return self._stored.get(dead_letter_id)

    def newest(self, **query: Any) -> Page[DeadLetter]:
        return _page(self._stored.values(), _letter_key, **query)

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        stored = self._stored.get(letter.dead_letter_id)
        if stored and stored.set_aside_at == letter.set_aside_at:
            self.put(replace(stored, replayed_at=at))

    def forget(self, dead_letter_ids: Collection[str]) -> None:
        for name in dead_letter_ids:
            self._stored.pop(name, None)


class FakeAuditLog:
    """`AuditLog` in memory."""

    def __init__(self) -> None:
        self._stored: list[AuditEntry] = []

    def put(self, entry: AuditEntry) -> None:
        self._stored.append(entry)

    def newest(self, **query: Any) -> Page[AuditEntry]:
        return _page(self._stored, _entry_key, **query)


class FakeRideHistory:
    """`RideHistory` over the rides of another fake."""

    def __init__(self, rides: FakeRides) -> None:
        self._rides = rides

    def newest(
        self, *, since: datetime, until: datetime, status: RideStatus | None, **query: Any
    ) -> Page[Ride]:
        found = (
            ride
            for ride in self._rides.all()
            if since <= ride.requested_at <= until and (status is None or ride.status is status)
        )
        return _page(found, _ride_key, **query)


class FakeRoster:
    """`Roster` over the unicorns of another fake."""

    def __init__(self, unicorns: FakeUnicorns) -> None:
        self._unicorns = unicorns

    def unicorns(self, **query: Any) -> Page[Unicorn]:
        return _page(
            self._unicorns.all(),
            lambda unicorn: {"unicorn_id": unicorn.unicorn_id},
            newest_first=False,
            **query,
        )


class FakeWorkers:
    """`Workers` that says what the test tells it."""

    def __init__(self, *heartbeats: Heartbeat) -> None:
        self.known = list(heartbeats)

    def heartbeats(self, now: datetime) -> Sequence[Heartbeat]:
        return self.known


class FakeQueues:
    """`Queues` that says what the test tells it."""

    def __init__(self) -> None:
        self.known = [QueueLength("dispatch", 0, 0), QueueLength("sweep", 0, 0)]

    def lengths(self) -> Sequence[QueueLength]:
        return self.known


def _letter_key(letter: DeadLetter) -> Mapping[str, str]:
    return {
        "set_aside_at": instant_text(letter.set_aside_at),
        "operation_id": letter.dead_letter_id,
    }


def _entry_key(entry: AuditEntry) -> Mapping[str, str]:
    return {"set_aside_at": instant_text(entry.at), "operation_id": entry.audit_id}


def _ride_key(ride: Ride) -> Mapping[str, str]:
    return {"requested_at": instant_text(ride.requested_at), "ride_id": ride.ride_id}


class FakeRevocations:
    """As `service.stores.revocations`; the contract tests hold both to the same behaviour."""

    def __init__(self) -> None:
        self._revoked: dict[tuple[str, str], tuple[datetime, datetime]] = {}

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        known = self._revoked.get((kind, value))
        if known is None or known[0] < revoked_at:
            self._revoked[kind, value] = revoked_at, expires_at

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        found = {kind: self._revoked.get((kind, value)) for kind, value in identifiers.items()}
        return {kind: known[0] for kind, known in found.items() if known and known[1] > now}
