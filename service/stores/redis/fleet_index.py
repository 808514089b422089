"""Where unicorns are and what they do, as last heard: positions and states for the rounds.

One hash per unicorn is the word: its position (newest recorded wins) and its state (highest
version wins, checked every 30 s so that nothing stale lives on). The GEO sets only help to find
candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from redis.commands.core import Script

from service.core.ports import Nearby, Sighting
from service.matching.zones import zone_of
from service.model import (
    FleetEntry,
    Location,
    Position,
    Unicorn,
)
from service.stores.entries import (
    dump_position,
    dump_unicorn,
    load_position,
    load_unicorn,
    readable,
)
from service.stores.redis import keys, scripts
from service.stores.redis.geo_sets import GeoSets, Move
from service.stores.redis.link import RedisLink, run_all

STATE_TTL: Final = timedelta(seconds=60)
STATE_CHECK: Final = timedelta(seconds=30)
"""A state older than this is read from DynamoDB again by the next position, so that a unicorn that
keeps sending is checked every 30 s and never drops out of sight in between."""
KEPT_SECONDS: Final = 86_400
"""Long after a position is stale it still tells since when a unicorn has been silent."""
CORNER_METRES: Final = 160.0
"""Farthest two places with the same corner lie apart: searches reach so much farther."""
LISTENING_GAP: Final = 0.25
"""How long nobody may say that unicorns can be heard until it is believed that they cannot, in
parts of the time after which they count as silent."""


class RedisFleetIndex:
    """`FleetIndex` on Redis. `stale` is how long a position counts. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        self._link = link
        self._stale = stale
        self._gap = LISTENING_GAP * stale
        self._geo = GeoSets(link, stale)
        self._note_position = link.client.register_script(scripts.NOTE_POSITION)
        self._note_state = link.client.register_script(scripts.NOTE_STATE)
        self._listen = link.client.register_script(scripts.LISTEN)

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        return self.record_all({unicorn_id: position}, now)[unicorn_id]

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        answers = self._run(
            self._note_position,
            [
                (name, _millis(position.recorded_at), dump_position(position), _millis(now))
                for name, position in positions.items()
            ],
        )
        sightings, moves = {}, []
        for (name, position), (news, before_text, state, noted) in zip(
            positions.items(), answers, strict=True
        ):
            unicorn = _state(state, noted, now, STATE_CHECK)
            before = _position(before_text)
            if news and unicorn and unicorn.can_take_a_ride and self._fresh(position, now):
                moves.append(Move(unicorn, position.location, before.location if before else None))
            entered = news and _has_entered(self._fresh(before, now), position)
            sightings[name] = Sighting(unicorn, bool(entered))
        self._geo.move(moves, now)
        return sightings

    def refresh(self, unicorn: Unicorn, now: datetime) -> None:
        self.refresh_all([unicorn], now)

    def refresh_all(self, unicorns: Collection[Unicorn], now: datetime) -> None:
        ttl = _span(STATE_TTL)
        answers = self._run(
            self._note_state,
            [(u.unicorn_id, u.version, dump_unicorn(u), _millis(now), ttl) for u in unicorns],
        )
        moves = []
        for unicorn, (written, text) in zip(unicorns, answers, strict=True):
            position = self._fresh(_position(text), now)
            if written and position:
                moves.append(Move(unicorn, position.location))
        self._geo.move(moves, now)

    def forget(self, unicorn_ids: Collection[str]) -> None:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for unicorn_id in unicorn_ids:
                pipe.delete(keys.unicorn(unicorn_id))
            pipe.execute()

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for unicorn_id in unicorn_ids:
                pipe.hmget(keys.unicorn(unicorn_id), "state", "noted", "position")
            known = zip(unicorn_ids, pipe.execute(), strict=True)
        return {
            unicorn_id: FleetEntry(unicorn, self._fresh(_position(position), now))
            for unicorn_id, (state, noted, position) in known
            if (unicorn := _state(state, noted, now, STATE_TTL))
            and unicorn.unicorn_id == unicorn_id
        }

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.unicorn(unicorn_id), "position"))
        return self._fresh(_position(text), now)

    def near(
        self,
        places: Sequence[Location],
        *,
        reach_metres: float,
        per_place: int,
        now: datetime,
        equal_metres: float = 0.0,
    ) -> Nearby:
        corners = {_corner(place): place for place in places}
        crowd = Counter(map(_corner, places))
        reach = reach_metres + CORNER_METRES
        counts = {at: per_place + crowd[corner] - 1 for corner, at in corners.items()}
        most_equal = max(per_place, len(places))
        found = self._geo.usable(counts, reach, equal_metres, most_equal, now)
        busy = self._geo.busy(list(corners.values()), reach, per_place, now)
        names = busy.union(*(each.names for each in found))
        entries = self.entries(sorted(names), now)
        cut = {corner for corner, each in zip(corners, found, strict=True) if each.cut}
        return Nearby(
            [entry for entry in entries.values() if entry.position],
            frozenset(place for place in places if _corner(place) in cut),
        )

    def silent_for(self, unicorn_id: str, now: datetime) -> timedelta:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            pipe.get(keys.EPOCH)
            pipe.hmget(keys.LISTENING, "since", "last")
            pipe.hget(keys.unicorn(unicorn_id), "heard")
            epoch, (since, last), heard = pipe.execute()
        if epoch is None:
            return timedelta()
        start = max(int(epoch), int(since or 0), int(heard or 0))
        end = min(_millis(now), int(last) + _span(self._gap)) if last else _millis(now)
        return timedelta(milliseconds=max(0, end - start))

    def could_answer(self, unicorn_id: str, since: datetime, now: datetime) -> bool:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.LISTENING, "since", "last")
            pipe.hget(keys.unicorn(unicorn_id), "heard")
            (begun, last), heard = pipe.execute()
        listened = last is None or (
            int(begun) <= _millis(since) and _millis(now) - int(last) <= _span(self._gap)
        )
        return listened and heard is not None and int(heard) >= _millis(since)

    def listen(self, now: datetime) -> None:
        with self._link.use():
            self._listen(keys=[keys.LISTENING], args=[_millis(now), _span(self._gap)])

    def begin_epoch(self, now: datetime) -> bool:
        with self._link.use() as client:
            return bool(client.set(keys.EPOCH, _millis(now), nx=True))

    def _run(self, script: Script, calls: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The script's answers for many unicorns (id, arguments), in one call."""
        return run_all(
            self._link,
            script,
            [([keys.unicorn(name)], (*args, KEPT_SECONDS)) for name, *args in calls],
        )

    def _fresh(self, position: Position | None, now: datetime) -> Position | None:
        return position if position and now - position.recorded_at <= self._stale else None


def _corner(place: Location) -> tuple[float, float]:
    """Places with the same corner are near enough to each other to be searched around once."""
    return round(place.latitude, 3), round(place.longitude, 3)


def _millis(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _span(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _has_entered(before: Position | None, after: Position) -> bool:
    return before is None or zone_of(before.location) != zone_of(after.location)


def _position(text: str | None) -> Position | None:
    return readable("position", load_position, text) if text else None


def _state(text: str | None, noted: str | None, now: datetime, ttl: timedelta) -> Unicorn | None:
    """None if it was noted too long ago or cannot be read: the next position reads it again."""
    if not text or not noted or not noted.isdecimal() or _millis(now) - int(noted) >= _span(ttl):
        return None
    return readable("unicorn", load_unicorn, text)
