"""The DynamoDB side of the ports in memory, with the same conditions, for tests of pure units.

The contract tests hold these and the real stores to the same behaviour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, TypeVar
from zlib import crc32

from service.core import ports
from service.core.ports import WriteConflict
from service.model import Page, Ride, RideStatus, Unicorn, UnicornState
from service.model.errors import AccountTaken, UnicornExists
from service.stores.records import instant_of, instant_text, record_of, value_of

Value = TypeVar("Value", Ride, Unicorn)

_lock = threading.RLock()
"""One for all fakes: a transaction spans two of them."""


class FakeRides:
    """`Rides` in memory."""

    def __init__(self) -> None:
        self._stored: dict[str, Ride] = {}
        self._unreadable: dict[str, Ride] = {}
        # Two, because a sweep of each costs time, and to a ride all others are one other shard.
        self.shards: Sequence[str] = ("0", "1")

    def create(self, ride: Ride) -> Ride | None:
        with _lock:
            known = self._stored.get(ride.ride_id)
            if known is None:
                self.put(ride)
            return known

    def shard_of(self, ride_id: str) -> str:
        return self.shards[crc32(ride_id.encode()) % len(self.shards)]

    def get(self, ride_id: str) -> Ride | None:
        return self._stored.get(ride_id)

    def list_of_rider(self, rider_id: str, **query: Any) -> Page[Ride]:
        return self._page(lambda ride: ride.rider_id == rider_id, **query)

    def list_of_unicorn(self, unicorn_id: str, **query: Any) -> Page[Ride]:
        return self._page(lambda ride: ride.unicorn_id == unicorn_id, **query)

    def spoil(self, ride_id: str) -> None:
        """Make a stored ride unreadable."""
        self._unreadable[ride_id] = self._stored.pop(ride_id)

    def unreadable_of_rider(self, rider_id: str) -> Sequence[str]:
        return [name for name, ride in self._unreadable.items() if ride.rider_id == rider_id]

    def blank(self, ride_id: str, rider_id: str, *, open_since: datetime) -> bool:
        ride = self._unreadable.get(ride_id)
        if ride is None or ride.rider_id != rider_id:
            return False
        if not ride.is_terminal and ride.requested_at >= open_since:
            return False
        del self._unreadable[ride_id]
        return True

    def _page(
        self,
        is_theirs: Callable[[Ride], bool],
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        rides = [
            ride
            for ride in sorted(self.all(), key=_age, reverse=True)
            if is_theirs(ride)
            and (start is None or _age(ride) < (start["requested_at"], start["ride_id"]))
            and (since is None or ride.requested_at >= since)
        ]
        seen = rides[: ports.MOST_LISTED]
        found = [ride for ride in seen if status is None or ride.status is status]
        if len(found) > limit:
            return Page(tuple(found[:limit]), _key(found[limit - 1]))
        return Page(tuple(found), _key(seen[-1]) if len(rides) > len(seen) else None)

    def save(self, before: Ride, after: Ride) -> None:
        with _lock:
            if not self.still_is(before, after):
                raise WriteConflict(ride=self._stored.get(before.ride_id))
            self.put(_merged(self._stored[before.ride_id], before, after))

    def due(self, now: datetime, limit: int) -> Sequence[Ride]:
        return self._due(now)[:limit]

    def due_in_batches(
        self, shard: str, now: datetime, limit: int, size: int
    ) -> Iterator[Sequence[Ride]]:
        due = [ride for ride in self._due(now) if self.shard_of(ride.ride_id) == shard]
        others = [ride for ride in due[:limit] if not ride.only_waits(now)]
        if not others:
            others = [ride for ride in due if not ride.only_waits(now)][:limit]
        waiting = [ride for ride in due[:limit] if ride.only_waits(now)]
        for rides in (others, waiting):
            for first in range(0, len(rides), size):
                still = (self._stored[ride.ride_id] for ride in rides[first : first + size])
                yield [ride for ride in still if ride.due_at and ride.due_at <= now]

    def _due(self, now: datetime) -> list[Ride]:
        in_order = sorted(self.all(), key=lambda ride: str(ride.due_at))
        return [ride for ride in in_order if ride.due_at and ride.due_at <= now]

    def assigned(self, shard: str, after: datetime) -> Iterable[tuple[str, str]]:
        return [
            (ride.ride_id, ride.unicorn_id)
            for ride in self.all()
            if self.shard_of(ride.ride_id) == shard
            and ride.unicorn_id
            and ride.due_at
            and ride.due_at > after
        ]

    def postpone(self, ride: Ride, due_at: datetime, failed_looks: int = 0) -> bool:
        with _lock:
            known = self._stored.get(ride.ride_id)
            seen = (ride.status, ride.due_at and instant_of(instant_text(ride.due_at)))
            if known is None or (known.status, known.due_at) != seen:
                return False
            self.put(replace(known, due_at=due_at, failed_looks=failed_looks))
            return True

    def postpone_all(self, times: Sequence[tuple[Ride, datetime]]) -> Sequence[Ride]:
        return [
            replace(ride, due_at=due_at, failed_looks=0)
            for ride, due_at in times
            if self.postpone(ride, due_at)
        ]

    def put(self, ride: Ride) -> None:
        """Store unconditionally, as precisely as a record does."""
        self._stored[ride.ride_id] = value_of(Ride, record_of(ride))

    def still_is(self, before: Ride, after: Ride) -> bool:
        known = self._stored.get(before.ride_id)
        return (
            known is not None
            and (known.version, known.status, known.unicorn_id)
            == (before.version, before.status, before.unicorn_id)
            and after.unicorn_id not in known.excluded
        )

    def all(self) -> list[Ride]:
        with _lock:
            return list(self._stored.values())


class FakeUnicorns:
    """`Unicorns` in memory."""

    def __init__(self) -> None:
        self._stored: dict[str, Unicorn] = {}
        self._accounts: dict[str, str] = {}

    def create(self, unicorn: Unicorn) -> None:
        with _lock:
            if unicorn.unicorn_id in self._stored:
                raise UnicornExists(f"unicorn {unicorn.unicorn_id} exists or existed")
            self._move_account(None, unicorn)
            self.put(unicorn)

    def get(self, unicorn_id: str) -> Unicorn | None:
        return self._stored.get(unicorn_id)

    def get_all(self, unicorn_ids: Collection[str]) -> Mapping[str, Unicorn | None]:
        return {name: self._stored[name] for name in unicorn_ids if name in self._stored}

    def of_account(self, account_sub: str) -> str | None:
        return self._accounts.get(account_sub)

    def save(self, before: Unicorn, after: Unicorn) -> None:
        with _lock:
            if not self.still_is(before):
                raise WriteConflict(unicorn=self._stored.get(before.unicorn_id))
            self._move_account(before, after)
            self.put(_merged(self._stored[before.unicorn_id], before, after))

    def all(self) -> list[Unicorn]:
        with _lock:
            return list(self._stored.values())

    def put(self, unicorn: Unicorn) -> None:
        """Store unconditionally, as precisely as a record does."""
        self._stored[unicorn.unicorn_id] = value_of(Unicorn, record_of(unicorn))

    def still_is(self, before: Unicorn) -> bool:
        known = self._stored.get(before.unicorn_id)
        return known is not None and _guarded(known) == _guarded(before)

    def _move_account(self, before: Unicorn | None, after: Unicorn) -> None:
        old, new = _driver(before) if before else None, _driver(after)
        if old == new:
            return
        if new is not None and new in self._accounts:
            raise AccountTaken("this account drives another unicorn")
        if old is not None:
            del self._accounts[old]
        if new is not None:
            self._accounts[new] = after.unicorn_id


class FakeAssignments:
    """`Assignments` over two fakes."""

    def __init__(self, rides: FakeRides, unicorns: FakeUnicorns) -> None:
        self._rides = rides
        self._unicorns = unicorns

    def pair(self, ride_id: str, unicorn_id: str) -> tuple[Ride | None, Unicorn | None]:
        with _lock:
            return self._rides.get(ride_id), self._unicorns.get(unicorn_id)

    def commit(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        with _lock:
            stored_ride, stored_unicorn = self.pair(ride[0].ride_id, unicorn[0].unicorn_id)
            ride_lost = not self._rides.still_is(*ride)
            unicorn_lost = not self._unicorns.still_is(unicorn[0])
            if ride_lost or unicorn_lost:
                raise WriteConflict(
                    ride=stored_ride if ride_lost else None,
                    unicorn=stored_unicorn if unicorn_lost else None,
                )
            self._rides.save(*ride)
            self._unicorns.save(*unicorn)


def _merged(stored: Value, before: Value, after: Value) -> Value:
    """What is stored with the fields that differ between before and after."""
    names = [field.name for field in fields(after)]
    changes = {n: getattr(after, n) for n in names if getattr(before, n) != getattr(after, n)}
    return replace(stored, **changes)


def _age(ride: Ride) -> tuple[str, str]:
    return instant_text(ride.requested_at), ride.ride_id


def _key(ride: Ride) -> dict[str, str]:
    return {"ride_id": ride.ride_id, "requested_at": instant_text(ride.requested_at)}


def _guarded(unicorn: Unicorn) -> tuple[object, ...]:
    return unicorn.version, unicorn.state, unicorn.accepting, unicorn.ride_id


def _driver(unicorn: Unicorn) -> str | None:
    """The account that drives this unicorn; a removed unicorn leaves its account free."""
    return None if unicorn.state is UnicornState.REMOVED else unicorn.account_sub
