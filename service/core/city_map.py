"""The map of the city for staff: positions of unicorns, waiting rides, and changes of both.

All of it comes from Redis, which may be out of date. A process keeps one map for all its
followers. Reading it costs the same for any number of followers, and nothing without one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from service.core.watch import Wait
from service.model import WORLD, Box, Location, Pairing, Ride, UnicornState
from service.model.errors import Unavailable

MOST_SHOWN: Final = 5000
"""The most unicorns, and the most waiting rides, on one map."""

UPDATE_SECONDS: Final = 1.0
"""How often a followed map is updated, so a follower gets at most one update per second."""

REMEMBERED: Final = timedelta(seconds=60)
"""How long a follower may be away and still get only the changes."""

OVERLAP: Final = timedelta(seconds=2)
"""A returning follower gets the changes of its last 2 s again, because the process that it followed
before may have had an older map."""


class SeenUnicorn(NamedTuple):
    """A unicorn on the map: its last noted state and its last position."""

    unicorn_id: str
    name: str
    color: str
    version: int
    state: UnicornState
    accepting: bool
    ride_id: str | None
    location: Location
    heading: float | None
    position_at: datetime


class WaitingRide(NamedTuple):
    """A ride that is waiting for a unicorn, with the plan for it if there is one."""

    ride: Ride
    plan: Pairing | None


Entry = TypeVar("Entry", SeenUnicorn, WaitingRide)

_GOLDEN: Final = (math.sqrt(5) - 1) / 2
"""The golden ratio: its multiples modulo 1 are spread evenly, for any number of followers."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CityMap(Protocol):
    """The data of the map. Every method may raise `Unavailable`."""

    def unicorns(self, box: Box, limit: int, now: datetime) -> Sequence[SeenUnicorn]:
        """At most `limit` unicorns of the fleet with a fresh position in the box, in any order."""

    def states(self, now: datetime) -> Mapping[UnicornState, int]:
        """The number of recently heard unicorns by state."""

    def waiting(self, box: Box, limit: int) -> Sequence[WaitingRide]:
        """The oldest rides that wait for a pickup in the box, at most `limit`, oldest first."""


def event_id(at: datetime) -> int:
    """The event id of an instant: milliseconds since 1970, by the service's clock."""
    return (at - _EPOCH) // _MILLISECOND


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything on the map. `truncated`: there are more entries than a map shows."""

    at: datetime
    unicorns: Sequence[SeenUnicorn]
    waiting: Sequence[WaitingRide]
    truncated: bool

    @property
    def event_id(self) -> int:
        return event_id(self.at)


@dataclass(frozen=True, slots=True, eq=False)
class MapChanges:
    """New and changed entries of the map in full, and the ids of removed ones."""

    at: datetime
    unicorns: Sequence[SeenUnicorn]
    gone_unicorns: Sequence[str]
    waiting: Sequence[WaitingRide]
    gone_rides: Sequence[str]

    @property
    def event_id(self) -> int:
        return event_id(self.at)


def read_snapshot(city: CityMap, box: Box, now: datetime) -> Snapshot:
    """The map of the box."""
    unicorns = city.unicorns(box, MOST_SHOWN + 1, now)
    waiting = city.waiting(box, MOST_SHOWN + 1)
    truncated = max(len(unicorns), len(waiting)) > MOST_SHOWN
    return Snapshot(now, unicorns[:MOST_SHOWN], waiting[:MOST_SHOWN], truncated)


class _ChangeLog(Generic[Entry]):
    """Unicorns or waiting rides by id, and when each changed or was removed (ms since 1970)."""

    def __init__(self) -> None:
        self.entries: Mapping[str, Entry] = {}
        self._changed: dict[str, int] = {}
        self._gone: dict[str, int] = {}

    def take(self, entries: Mapping[str, Entry], at: int, forget_before: int) -> None:
        """Take the new state, and note what has changed or was removed."""
        for entry_id, entry in entries.items():
            if self.entries.get(entry_id) != entry:
                self._changed[entry_id] = at
                self._gone.pop(entry_id, None)
        for entry_id in self.entries.keys() - entries.keys():
            self._gone[entry_id] = at
            del self._changed[entry_id]
        self.entries = entries
        self._gone = {
            entry_id: since for entry_id, since in self._gone.items() if since >= forget_before
        }

    def since(self, at: int) -> tuple[Sequence[Entry], Sequence[str]]:
        """The entries changed after `at`, and the ids of those removed after it."""
        changed = [
            self.entries[entry_id] for entry_id, since in self._changed.items() if since > at
        ]
        return changed, [entry_id for entry_id, since in self._gone.items() if since > at]


class SharedMap:
    """The whole map, which is updated while somebody follows it. Safe for threads and greenlets."""

    def __init__(
        self, city: CityMap, now: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._city, self._now, self._monotonic = city, now, monotonic
        self._updating = threading.Lock()
        self._last_update = -math.inf
        self._begun_at = 0
        self._snapshot: Snapshot | None = None
        self._unicorns: _ChangeLog[SeenUnicorn] = _ChangeLog()
        self._waiting: _ChangeLog[WaitingRide] = _ChangeLog()
        self._news_by_event: dict[int, MapChanges | None] = {}
        """A cache: the changes since an event id. The next update clears it."""
        self._followers = 0
        """How many followers there have been since the start."""

    def update(self) -> None:
        """Update the map unless it is fresh or being updated. Raises `Unavailable`."""
        if self._monotonic() - self._last_update < UPDATE_SECONDS:
            return
        if not self._updating.acquire(blocking=False):
            return
        try:
            self._last_update = self._monotonic()
            self._take(read_snapshot(self._city, WORLD, self._now()))
        finally:
            self._updating.release()

    def schedule(self) -> Iterator[float]:
        """Yield the seconds to wait for each further turn of a new follower.

        Each follower has a phase of its own within the second. A follower that is late skips turns
        and keeps its phase. Otherwise all followers would run in step after a pause of the process,
        and each request would wait until all of them have had their turn.
        """
        self._followers += 1
        due = self._monotonic() + (1 + self._followers * _GOLDEN % 1) * UPDATE_SECONDS
        while True:
            yield max(0.0, due - self._monotonic())
            missed = max(0.0, self._monotonic() - due) // UPDATE_SECONDS
            due += (1 + missed) * UPDATE_SECONDS

    def news(self, seen: int | None) -> Snapshot | MapChanges | None:
        """The news for a follower that has seen the event `seen`; None if nothing has changed.

        Followers that have seen the same event get the same object. Raises `Unavailable` before
        the first update.
        """
        if self._snapshot is None:
            raise Unavailable("the map has not been read yet")
        at = self._snapshot.event_id
        oldest = max(self._begun_at, at - REMEMBERED // _MILLISECOND)
        if seen is None or not oldest <= seen <= at + OVERLAP // _MILLISECOND:
            return self._snapshot
        if seen not in self._news_by_event:
            self._news_by_event[seen] = self._changes(self._snapshot, seen)
        return self._news_by_event[seen]

    def _take(self, snapshot: Snapshot) -> None:
        at = snapshot.event_id
        self._begun_at = self._begun_at or at
        forget_before = at - REMEMBERED // _MILLISECOND
        self._unicorns.take({u.unicorn_id: u for u in snapshot.unicorns}, at, forget_before)
        self._waiting.take({w.ride.ride_id: w for w in snapshot.waiting}, at, forget_before)
        self._snapshot, self._news_by_event = snapshot, {}

    def _changes(self, snapshot: Snapshot, seen: int) -> MapChanges | None:
        unicorns, gone_unicorns = self._unicorns.since(seen)
        waiting, gone_rides = self._waiting.since(seen)
        if not (unicorns or gone_unicorns or waiting or gone_rides):
            return None
        return MapChanges(snapshot.at, unicorns, gone_unicorns, waiting, gone_rides)


def follow(
    shared_map: SharedMap, seen: int | None, wait: Wait
) -> Generator[Snapshot | MapChanges | None, None, None]:
    """Yield the news for a follower, at most every `UPDATE_SECONDS`, until the wait ends.

    `seen`: the last event that a returning follower has seen, in any process. Yields None if there
    is nothing new. The first step may raise `Unavailable`.
    """
    ended, schedule = threading.Event(), shared_map.schedule()
    wait.wake_with(ended.set)
    shared_map.update()
    if seen is not None:
        seen -= OVERLAP // _MILLISECOND
    while not wait.ended_by:
        news = shared_map.news(seen)
        if news:
            seen = news.event_id
        yield news
        ended.wait(next(schedule))
        # Without Redis the followers keep the last map.
        with suppress(Unavailable):
            shared_map.update()
