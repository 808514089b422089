"""What operators look at and steer, in memory, for tests whose unit is pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from service.model import Page, RepositioningLevel, Ride, RideStatus, Unicorn
from service.model.operations import AuditEntry, Beat, DeadLetter, Pause, QueueLength
from service.stores.records import instant_text
from tests.support.fakes import FakeRides, FakeUnicorns


class FakePauses:
    """`Pauses` in memory."""

    def __init__(self) -> None:
        self._pause = Pause()

    def current(self) -> Pause:
        return self._pause

    def put(self, zone: str | None, paused: bool) -> Pause:
        if zone is None:
            zones = self._pause.zones if paused else frozenset()
            self._pause = replace(self._pause, everywhere=paused, zones=zones)
        else:
            changed = self._pause.zones | {zone} if paused else self._pause.zones - {zone}
            self._pause = replace(self._pause, zones=changed)
        return self._pause

    def reposition(self, zone: str | None, level: RepositioningLevel) -> Pause:
        if zone is None:
            self._pause = replace(self._pause, level=level)
        else:
            self._pause = replace(self._pause, levels={**self._pause.levels, zone: level})
        return self._pause


class FakeDeadLetters:
    """`DeadLetters` in memory."""

    def __init__(self) -> None:
        self._stored: dict[str, DeadLetter] = {}

    def put(self, letter: DeadLetter) -> None:
        self._stored[letter.dead_letter_id] = letter

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        return self._stored.get(dead_letter_id)

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        before = (start["set_aside_at"], start["operation_id"]) if start else ("~", "")
        letters = [
            letter
            for letter in sorted(self._stored.values(), key=_age, reverse=True)
            if _age(letter) < before
        ]
        page = tuple(letters[:limit])
        return Page(page, _place(page[-1]) if len(letters) > limit else None)

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

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[AuditEntry]:
        before = (start["set_aside_at"], start["operation_id"]) if start else ("~", "")
        entries = sorted(self._stored, key=_written, reverse=True)
        entries = [entry for entry in entries if _written(entry) < before]
        page = tuple(entries[:limit])
        if len(entries) <= limit:
            return Page(page)
        at, audit_id = _written(page[-1])
        return Page(page, {"set_aside_at": at, "operation_id": audit_id})


class FakeRideHistory:
    """`RideHistory` over the rides of another fake."""

    def __init__(self, rides: FakeRides) -> None:
        self._rides = rides

    def newest(
        self,
        *,
        since: datetime,
        until: datetime,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
    ) -> Page[Ride]:
        before = (start["requested_at"], start["ride_id"]) if start else ("~", "")
        found = [
            ride
            for ride in sorted(self._rides.all(), key=_requested, reverse=True)
            if since <= ride.requested_at <= until
            and (status is None or ride.status is status)
            and _requested(ride) < before
        ]
        page = tuple(found[:limit])
        if len(found) <= limit:
            return Page(page)
        requested_at, ride_id = _requested(page[-1])
        return Page(page, {"requested_at": requested_at, "ride_id": ride_id})


class FakeRoster:
    """`Roster` over the unicorns of another fake."""

    def __init__(self, unicorns: FakeUnicorns) -> None:
        self._unicorns = unicorns

    def unicorns(self, *, limit: int, start: Mapping[str, str] | None) -> Page[Unicorn]:
        after = start["unicorn_id"] if start else ""
        found = [u for u in self._unicorns.all() if u.unicorn_id > after]
        found.sort(key=lambda unicorn: unicorn.unicorn_id)
        page = tuple(found[:limit])
        more = len(found) > limit
        return Page(page, {"unicorn_id": page[-1].unicorn_id} if more else None)


class FakeWorkers:
    """`Workers` that says what the test tells it."""

    def __init__(self, *beats: Beat) -> None:
        self.known = list(beats)

    def beats(self, now: datetime) -> Sequence[Beat]:
        return self.known


class FakeQueues:
    """`Queues` that says what the test tells it."""

    def __init__(self) -> None:
        self.known = [QueueLength("dispatch", 0, 0), QueueLength("sweep", 0, 0)]

    def lengths(self) -> Sequence[QueueLength]:
        return self.known


def _written(entry: AuditEntry) -> tuple[str, str]:
    return instant_text(entry.at), entry.audit_id


def _age(letter: DeadLetter) -> tuple[str, str]:
    return instant_text(letter.set_aside_at), letter.dead_letter_id


def _place(letter: DeadLetter) -> dict[str, str]:
    set_aside_at, dead_letter_id = _age(letter)
    return {"set_aside_at": set_aside_at, "operation_id": dead_letter_id}


def _requested(ride: Ride) -> tuple[str, str]:
    return instant_text(ride.requested_at), ride.ride_id
