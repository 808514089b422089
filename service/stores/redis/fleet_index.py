"""Where unicorns are and what they do, as last heard: positions and states for the rounds.

Per unicorn two hashes are the word: the position (newest recorded wins) and the state (highest
version wins, checked every 30 s so that nothing stale lives on). GEO sets per zone and span of time
only help to find candidates; whatever they say is checked against the two hashes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from redis.client import Pipeline

from service.core.dispatch.zones import zone_of, zones_within
from service.core.model import FleetEntry, Location, Position, Unicorn
from service.core.ports import Sighting
from service.stores.entries import UNREADABLE, dump_unicorn, load_unicorn
from service.stores.redis import keys, scripts
from service.stores.redis.link import RedisLink

BUCKET_SECONDS: Final = 30
"""Span of one GEO set: old positions disappear with their set, nobody has to remove them."""
STATE_TTL_MS: Final = 60_000
STATE_CHECK_MS: Final = 30_000
"""A state that has less than this left is read from DynamoDB again by the next position, so that a
unicorn that keeps sending is checked every 30 s and never drops out of sight in between."""
POSITION_TTL_SECONDS: Final = 86_400
"""Long after a position is stale it still tells since when a unicorn has been silent."""
FIRST_RADIUS_METRES: Final = 1000.0
"""GEOSEARCH sorts every hit in the radius, so begin small and widen only where that is too few."""


@dataclass(frozen=True, slots=True)
class Search:
    """Whom to look for: in which GEO sets, how far around a place."""

    place: Location
    radius_metres: float
    index: Callable[[str, int], str]


class RedisFleetIndex:
    """`FleetIndex` on Redis. `stale` is how long a position counts. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        self._link = link
        self._stale = stale
        self._buckets = 1 + -(-int(stale.total_seconds()) // BUCKET_SECONDS)
        self._note_position = link.client.register_script(scripts.NOTE_POSITION)
        self._note_state = link.client.register_script(scripts.NOTE_STATE)

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        with self._link.use():
            news, before_text, state_text = self._note_position(
                keys=[keys.position(unicorn_id), keys.state(unicorn_id)],
                args=[
                    _millis(position.recorded_at),
                    _dump(position),
                    POSITION_TTL_SECONDS,
                    STATE_CHECK_MS,
                    _millis(now),
                ],
            )
        unicorn = _load_state(state_text)
        if not news:
            return Sighting(unicorn, entered=False)
        if unicorn and unicorn.can_take_a_ride:
            self._index(unicorn, position, now)
        before = self._fresh(_load(before_text), now)
        return Sighting(unicorn, entered=before is None or _moved_zone(before, position))

    def refresh(self, unicorn: Unicorn, now: datetime) -> None:
        name = unicorn.unicorn_id
        with self._link.use():
            written, position_text = self._note_state(
                keys=[keys.state(name), keys.position(name)],
                args=[unicorn.version, dump_unicorn(unicorn), STATE_TTL_MS],
            )
        position = self._fresh(_load(position_text), now)
        if written and position:
            self._index(unicorn, position, now)

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for unicorn_id in unicorn_ids:
                pipe.hget(keys.state(unicorn_id), "data")
                pipe.hget(keys.position(unicorn_id), "data")
            texts = iter(pipe.execute())
        triples = zip(unicorn_ids, texts, texts, strict=True)
        return {
            unicorn_id: FleetEntry(unicorn, self._fresh(_load(position), now))
            for unicorn_id, state, position in triples
            if (unicorn := _load_state(state))
        }

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.position(unicorn_id), "data"))
        return self._fresh(_load(text), now)

    def near(
        self, places: Sequence[Location], *, reach_metres: float, per_place: int, now: datetime
    ) -> Sequence[FleetEntry]:
        places = _spread(places)
        close = [Search(place, FIRST_RADIUS_METRES, keys.usable) for place in places]
        ending = [Search(place, reach_metres, keys.busy) for place in places]
        hits = self._search([*close, *ending], per_place, now)
        sparse = [
            Search(search.place, reach_metres, keys.usable)
            for search, found in zip(close, hits, strict=False)
            if len(found) < per_place
        ]
        hits += self._search(sparse, per_place, now)
        entries = self.entries(sorted(set().union(*hits)), now)
        return [entry for entry in entries.values() if entry.position]

    def silent_for(self, unicorn_id: str, now: datetime) -> timedelta:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            pipe.get(keys.EPOCH)
            pipe.hget(keys.position(unicorn_id), "heard")
            epoch, last = pipe.execute()
        if epoch is None:
            return timedelta()
        heard = max(int(epoch), int(last or 0))
        return timedelta(milliseconds=max(0, _millis(now) - heard))

    def begin_epoch(self, now: datetime) -> bool:
        with self._link.use() as client:
            return bool(client.set(keys.EPOCH, _millis(now), nx=True))

    def _search(self, searches: Sequence[Search], count: int, now: datetime) -> list[set[str]]:
        """Ids of the nearest indexed unicorns per search, over zones in reach and live buckets."""
        commands = [
            (number, search, zone, bucket)
            for number, search in enumerate(searches)
            for zone in sorted(zones_within(search.place, search.radius_metres))
            for bucket in self._live_buckets(now)
        ]
        found: list[set[str]] = [set() for _ in searches]
        if not commands:
            return found
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for _, search, zone, bucket in commands:
                pipe.geosearch(
                    search.index(zone, bucket),
                    longitude=search.place.longitude,
                    latitude=_indexable(search.place.latitude),
                    radius=search.radius_metres,
                    unit="m",
                    sort="ASC",
                    count=count,
                )
            for (number, *_), hits in zip(commands, pipe.execute(), strict=True):
                found[number].update(hits)
        return found

    def _index(self, unicorn: Unicorn, position: Position, now: datetime) -> None:
        """Put the unicorn where a round looks for it, and take it away from where it was."""
        zone, bucket = zone_of(position.location), _bucket(now)
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for live in self._live_buckets(now):
                pipe.zrem(keys.usable(zone, live), unicorn.unicorn_id)
            if unicorn.can_take_a_ride:
                self._add(pipe, keys.usable(zone, bucket), unicorn, position.location)
            elif unicorn.trip and unicorn.trip.dropoff:
                target = unicorn.trip.dropoff
                self._add(pipe, keys.busy(zone_of(target), bucket), unicorn, target)
            pipe.execute()

    def _add(self, pipe: Pipeline, name: str, unicorn: Unicorn, at: Location) -> None:
        pipe.geoadd(name, (at.longitude, _indexable(at.latitude), unicorn.unicorn_id))
        pipe.expire(name, (self._buckets + 1) * BUCKET_SECONDS)

    def _live_buckets(self, now: datetime) -> range:
        return range(_bucket(now) - self._buckets + 1, _bucket(now) + 1)

    def _fresh(self, position: Position | None, now: datetime) -> Position | None:
        return position if position and now - position.recorded_at <= self._stale else None


def _spread(places: Sequence[Location]) -> Sequence[Location]:
    """One place of those within some hundred metres of each other: they see the same unicorns."""
    return list({(round(p.latitude, 3), round(p.longitude, 3)): p for p in places}.values())


def _bucket(now: datetime) -> int:
    return int(now.timestamp()) // BUCKET_SECONDS


def _millis(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _indexable(latitude: float) -> float:
    """Redis GEO sets end at 85.05 degrees (Web Mercator); nearer the poles distances are off but
    candidates are still found, and the pairing computes with the true position."""
    return max(-85.05, min(85.05, latitude))


def _moved_zone(before: Position, after: Position) -> bool:
    return zone_of(before.location) != zone_of(after.location)


def _load_state(text: str | None) -> Unicorn | None:
    """None also for another release's entry: the state is then read from DynamoDB."""
    try:
        return load_unicorn(text) if text else None
    except UNREADABLE:
        return None


def _dump(position: Position) -> str:
    """Schema version, recorded (ms), latitude, longitude, heading, speed."""
    where = position.location
    recorded = _millis(position.recorded_at)
    return json.dumps(
        [1, recorded, where.latitude, where.longitude, position.heading, position.speed]
    )


def _load(text: str | None) -> Position | None:
    if text is None:
        return None
    _, recorded, latitude, longitude, heading, speed = json.loads(text)
    recorded_at = datetime.fromtimestamp(recorded / 1000, UTC)
    return Position(Location(latitude, longitude), recorded_at, heading, speed)
