"""What the map for staff is drawn from: a hash per zone of what it shows of each unicorn, and where
each unicorn last was.

The hash is written when a unicorn's state is noted or the unicorn has entered a zone, in the call
that updates the GEO sets. So most positions cost nothing more. A unicorn that drives into another
zone stays in the hash of the one before until that is tidied. Of its entries, the one with the
newest version counts, and of those the one that was noted last.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from service.core.city_map import MOST_SHOWN, SeenUnicorn, WaitingRide
from service.matching.zones import is_zone, may_touch, zone_of
from service.model import WORLD, Box, Pairing, Position, Ride, Unicorn, UnicornState
from service.stores.entries import (
    SCHEMA,
    load_list,
    load_plan,
    load_waiting_ride,
    position_of,
    readable,
)
from service.stores.records import millis
from service.stores.redis import keys
from service.stores.redis.link import RedisLink, RedisStore
from service.stores.redis.unicorns import STATE_TTL

BATCH_UNICORNS: Final = 250
"""Unicorns that are read with one call. Other requests of the process have their turn in between:
reading and parsing so many takes 5 ms of CPU."""
MOST_READ: Final = 4 * MOST_SHOWN
"""Unicorns of the box's zones whose places are read, however few of them are in the box."""
TIDIED_AFTER: Final = timedelta(hours=1)
"""How long after its state was last noted a unicorn leaves a zone's hash."""

_CACHED: Final = 2 * MOST_SHOWN


class MapEntry(NamedTuple):
    """What the map shows of a unicorn, except its position; `at`: milliseconds since 1970."""

    at: int
    unicorn_id: str
    name: str
    color: str
    version: int
    state: UnicornState
    accepting: bool
    ride_id: str | None


def note(pipe: Any, unicorn: Unicorn, position: Position, now: datetime) -> None:
    """Add to the pipeline what the map shows of a unicorn that is here."""
    zone = zone_of(position.location)
    fields = (unicorn.name, unicorn.color, unicorn.version, unicorn.state, unicorn.accepting)
    entry = [SCHEMA, millis(now), unicorn.unicorn_id, *fields, unicorn.ride_id]
    pipe.hset(keys.fleet(zone), unicorn.unicorn_id, json.dumps(entry, separators=(",", ":")))
    pipe.sadd(keys.ZONES, zone)


class RedisCityMap(RedisStore):
    """`CityMap` on Redis. `stale`: how long a position counts. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        super().__init__(link)
        self._stale = stale

    def unicorns(self, box: Box, limit: int, now: datetime) -> Sequence[SeenUnicorn]:
        """A call for each `BATCH_UNICORNS` unicorns of the box's zones, and those of `_noted`."""
        found: list[SeenUnicorn] = []
        fresh_since = now - self._stale
        entries = self._noted(box, now)[:MOST_READ]
        for first in range(0, len(entries), BATCH_UNICORNS):
            chunk = entries[first : first + BATCH_UNICORNS]
            for entry, text in zip(chunk, self._positions(chunk), strict=True):
                seen = _seen(entry, text) if text else None
                if seen and seen.position_at >= fresh_since and box.contains(seen.location):
                    found.append(seen)
            if len(found) >= limit:
                break
            time.sleep(0)
        return found[:limit]

    def states(self, now: datetime) -> Mapping[UnicornState, int]:
        """The calls of `_noted`."""
        return Counter(entry.state for entry in self._noted(WORLD, now))

    def waiting(self, box: Box, limit: int) -> Sequence[WaitingRide]:
        """Two calls."""
        zones = self._zones(box)
        with self._link.pipe() as pipe:
            for zone in zones:
                pipe.hgetall(keys.waiting(zone))
                pipe.hgetall(keys.plans(zone))
            answers = pipe.execute()
        found = [
            WaitingRide(ride, _plan(ride_id, plans[ride_id]) if ride_id in plans else None)
            for zone, texts, plans in zip(zones, answers[::2], answers[1::2], strict=True)
            for ride_id, text in texts.items()
            if (ride := _ride(zone, ride_id, text)) and box.contains(ride.pickup)
        ]
        found.sort(key=lambda each: (each.ride.requested_at, each.ride.ride_id))
        return found[:limit]

    def _noted(self, box: Box, now: datetime) -> Sequence[MapEntry]:
        """What is shown of each unicorn of the box's zones; tidies the entries.

        Two calls, and one for each zone that has entries to tidy.
        """
        zones = self._zones(box)
        with self._link.pipe() as pipe:
            for zone in zones:
                pipe.hvals(keys.fleet(zone))
            answers = pipe.execute()
        newest: dict[str, MapEntry] = {}
        shown_since = millis(now - STATE_TTL)
        for zone, texts in zip(zones, answers, strict=True):
            entries = [entry for text in texts if (entry := _entry(text))]
            self._tidy(zone, entries, now)
            for entry in entries:
                other = newest.get(entry.unicorn_id)
                is_newer = other is None or (entry.version, entry.at) > (other.version, other.at)
                if is_newer and entry.at > shown_since:
                    newest[entry.unicorn_id] = entry
        return [each for each in newest.values() if each.state is not UnicornState.REMOVED]

    def _tidy(self, zone: str, entries: Sequence[MapEntry], now: datetime) -> None:
        kept_since = millis(now - TIDIED_AFTER)
        if old := [entry.unicorn_id for entry in entries if entry.at < kept_since]:
            with self._link.use() as client:
                client.hdel(keys.fleet(zone), *old)

    def _zones(self, box: Box) -> Sequence[str]:
        with self._link.use() as client:
            zones = cast("set[str]", client.smembers(keys.ZONES))
        return sorted(zone for zone in zones if is_zone(zone) and may_touch(zone, box))

    def _positions(self, entries: Sequence[MapEntry]) -> Sequence[str | None]:
        if not entries:
            return []
        with self._link.use() as client:
            return client.exchange(
                [("HGET", keys.unicorn(entry.unicorn_id), "position") for entry in entries]
            )


# Most of what a follower of the map needs was read a second ago.
@lru_cache(_CACHED)
def _entry(text: str) -> MapEntry | None:
    return readable("unicorn", _load, text)


def _load(text: str) -> MapEntry:
    at, unicorn_id, name, color, version, state, accepting, ride_id = load_list(text)
    facts = (str(unicorn_id), str(name), str(color), int(version), UnicornState(state))
    return MapEntry(int(at), *facts, bool(accepting), ride_id and str(ride_id))


@lru_cache(_CACHED)
def _seen(entry: MapEntry, position: str) -> SeenUnicorn | None:
    at = position_of(position)
    if at is None:
        return None
    return SeenUnicorn(*entry[1:], at.location, at.heading, at.recorded_at)


@lru_cache(_CACHED)
def _ride(zone: str, ride_id: str, text: str) -> Ride | None:
    return readable("ride", load_waiting_ride, zone, ride_id, text)


@lru_cache(_CACHED)
def _plan(ride_id: str, text: str) -> Pairing | None:
    return readable("plan", load_plan, ride_id, text)
