"""The Redis side of the ports in memory, for tests whose unit is pure."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from service.core.ports import Sighting
from service.matching.travel import GreatCircle
from service.matching.zones import zone_of
from service.model import (
    FleetEntry,
    Location,
    Pairing,
    Position,
    Ride,
    Unicorn,
)
from service.model.errors import Unavailable


class FakeFleetIndex:
    """`FleetIndex` in memory; states do not expire by themselves, `forget_state` does it."""

    def __init__(self, stale: timedelta = timedelta(seconds=60)) -> None:
        self._stale = stale
        self._positions: dict[str, Position] = {}
        self._states: dict[str, Unicorn] = {}
        self._since: dict[str, datetime] = {}
        self._heard: dict[str, datetime] = {}
        self._epoch: datetime | None = None
        self._listening: tuple[datetime, datetime] | None = None

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        known = self._positions.get(unicorn_id)
        unicorn = self._states.get(unicorn_id)
        self._heard[unicorn_id] = now
        if known and known.recorded_at >= position.recorded_at:
            return Sighting(unicorn, entered=False)
        fresh = self.position(unicorn_id, now)
        self._positions[unicorn_id] = position
        entered = fresh is None or zone_of(fresh.location) != zone_of(position.location)
        return Sighting(unicorn, entered)

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        return {name: self.record(name, position, now) for name, position in positions.items()}

    def refresh(self, unicorn: Unicorn, now: datetime) -> None:
        known = self._states.get(unicorn.unicorn_id)
        if known is None or known.version < unicorn.version:
            self._since[unicorn.unicorn_id] = now
        if known is None or known.version <= unicorn.version:
            self._states[unicorn.unicorn_id] = unicorn

    def refresh_all(self, unicorns: Collection[Unicorn], now: datetime) -> None:
        for unicorn in unicorns:
            self.refresh(unicorn, now)

    def forget(self, unicorn_ids: Collection[str]) -> None:
        for known in (self._positions, self._states, self._since, self._heard):
            for unicorn_id in unicorn_ids:
                known.pop(unicorn_id, None)

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        return {
            name: FleetEntry(unicorn, self.position(name, now), idle_since)
            for name in unicorn_ids
            if (unicorn := self._states.get(name))
            for idle_since in [self._since[name] if unicorn.can_take_a_ride else None]
        }

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        position = self._positions.get(unicorn_id)
        return position if position and now - position.recorded_at <= self._stale else None

    def near(
        self, places: Sequence[Location], *, reach_metres: float, per_place: int, now: datetime
    ) -> Sequence[FleetEntry]:
        entries = self.entries(sorted(self._states), now).values()
        return [e for e in entries if e.position and _reachable(e, places, reach_metres)]

    def silent_for(self, unicorn_id: str, now: datetime) -> timedelta:
        if self._epoch is None:
            return timedelta()
        since, last = self._listening or (self._epoch, now)
        start = max(self._epoch, since, self._heard.get(unicorn_id, self._epoch))
        return max(timedelta(), min(now, last + self._stale / 4) - start)

    def listen(self, now: datetime) -> None:
        since, last = self._listening or (now, now)
        self._listening = (now if now - last > self._stale / 4 else since), max(now, last)

    def begin_epoch(self, now: datetime) -> bool:
        if self._epoch is not None:
            return False
        self._epoch = now
        return True

    def forget_state(self, unicorn_id: str) -> None:
        del self._states[unicorn_id]


def _reachable(entry: FleetEntry, places: Sequence[Location], reach_metres: float) -> bool:
    assert entry.position
    travel = GreatCircle()
    busy_until = entry.unicorn.trip.dropoff if entry.unicorn.trip else None
    at = entry.position.location if entry.unicorn.can_take_a_ride else busy_until
    return at is not None and any(travel.crow_metres(at, p) <= reach_metres for p in places)


class FakeWaitingRides:
    """`WaitingRides` and `RoundLeases` in memory; marks never expire by themselves."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.rides: dict[str, dict[str, Ride]] = {}
        self.plans: dict[str, dict[str, Pairing]] = {}
        self.marks: set[str] = set()
        self.again: set[str] = set()
        self.running: dict[str, set[str]] = {}
        self.unreadable: dict[str, dict[str, str]] = {}
        self._holders: dict[str, FakeRoundLease] = {}

    @property
    def leased(self) -> set[str]:
        return set(self._holders)

    def expire(self, zone: str) -> None:
        """The zone's lease has run out."""
        del self._holders[zone]

    def add(self, ride: Ride) -> bool:
        with self._lock:
            self.rides.setdefault(ride.zone, {})[ride.ride_id] = ride
            return self._set_mark(ride.zone)

    def correct(self, ride: Ride) -> None:
        with self._lock:
            self.rides.setdefault(ride.zone, {})[ride.ride_id] = ride

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        with self._lock:
            return [z for z in sorted(zones) if self.rides.get(z) and self._set_mark(z)]

    def discard(self, zone: str, ride_ids: Collection[str]) -> None:
        with self._lock:
            for ride_id in ride_ids:
                self.rides.get(zone, {}).pop(ride_id, None)
                self.unreadable.get(zone, {}).pop(ride_id, None)

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        return self.plans.get(zone, {}).get(ride_id)

    def take(self, zone: str) -> FakeRoundLease | None:
        with self._lock:
            self.marks.discard(zone)
            if zone in self.leased:
                self.again.add(zone)
                return None
            return self._holders.setdefault(zone, FakeRoundLease(self, zone))

    def give_back(self, zone: str, lease: FakeRoundLease) -> None:
        with self._lock:
            if self._holders.get(zone) is lease:
                del self._holders[zone]

    def _set_mark(self, zone: str) -> bool:
        fresh = zone not in self.marks
        self.marks.add(zone)
        return fresh


class FakeRoundLease:
    def __init__(self, waiting: FakeWaitingRides, zone: str) -> None:
        self._waiting = waiting
        self.zone = zone
        self.suspects: frozenset[str] = frozenset()
        self.unreadable: Mapping[str, str] = {}

    def begin_round(self) -> tuple[Sequence[Ride], Mapping[str, Pairing]]:
        waiting, zone = self._waiting, self.zone
        waiting.again.discard(zone)
        waiting.marks.discard(zone)
        rides = waiting.rides.get(zone, {})
        self.suspects = frozenset(waiting.running.get(zone, set()) & rides.keys())
        self.unreadable = dict(waiting.unreadable.get(zone, {}))
        waiting.running[zone] = set(rides)
        return list(rides.values()), dict(waiting.plans.get(zone, {}))

    def finish_round(self, plans: Sequence[Pairing]) -> None:
        self._waiting.plans[self.zone] = {plan.ride_id: plan for plan in plans}
        self._waiting.running[self.zone] = set(self.suspects)

    def clear(self, ride_id: str) -> None:
        self._waiting.running[self.zone].discard(ride_id)

    def leave(self) -> bool:
        if self.zone in self._waiting.again | self._waiting.marks:
            return False
        self.release()
        return True

    def release(self) -> None:
        self._waiting.give_back(self.zone, self)


class FakeRoundQueue:
    """Remembers what was published; `fail` makes it unavailable."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.fail = False

    def publish(self, zone: str, request_id: str) -> None:
        if self.fail:
            raise Unavailable("the broker is away")
        self.published.append((zone, request_id))


class FakeListener:
    """Never hears anything, never sleeps."""

    def wait(self, seconds: float) -> bool:
        return False

    def wake(self) -> None:
        """Nobody sleeps here."""


class FakeChanges:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.announced: list[str] = []

    def announce(self, *topics: str) -> None:
        self.announced.extend(topics)

    @contextmanager
    def listen(self, topic: str) -> Iterator[FakeListener]:
        yield FakeListener()
