"""The fleet index in Redis: last positions and states of unicorns, for the rounds.

The hash of a unicorn is what counts. It holds the position (the one recorded last) and the state
(the highest version, read from DynamoDB again every 30 s). The GEO sets only help to find
candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from service.core.ports import Nearby, Sighting
from service.matching.zones import zone_of
from service.model import FleetEntry, Location, Position, PositionProblem, Unicorn
from service.stores.entries import dump_position, position_of
from service.stores.records import in_millis
from service.stores.redis import city_map, keys
from service.stores.redis.geo_sets import GeoSets, Relocation
from service.stores.redis.link import Command, RedisLink
from service.stores.redis.presence import RedisPresence
from service.stores.redis.remembered import Remembered
from service.stores.redis.unicorns import (
    STATE_TTL,
    advice_of,
    age_millis,
    note_positions,
    note_states,
    problem_of,
    reached_of,
    ride_version_of,
    state_of,
)

STATE_CHECK: Final = timedelta(seconds=30)
"""When a position arrives and the state is older than this, the state is read from DynamoDB again.
So the state of a unicorn that keeps sending is never missing."""
CORNER_METRES: Final = 160.0
"""The greatest distance between two places with the same corner; searches add it to their radius.
"""


@dataclass(slots=True)
class _Recorded:
    """The results of recording some positions."""

    sightings: dict[str, Sighting] = field(default_factory=dict)
    entered: list[tuple[Unicorn, Position]] = field(default_factory=list)
    relocations: list[Relocation] = field(default_factory=list)
    astray: dict[str, Location] = field(default_factory=dict)
    """The unicorns that this call wrongly put into a GEO set: by id, a place of the set's zone."""


class RedisFleetIndex(RedisPresence):
    """`FleetIndex` on Redis. `stale`: how long a position is fresh. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        super().__init__(link, stale)
        self._geo = GeoSets(link, stale)
        self._last = Remembered()

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        return self._record({unicorn_id: position}, now, is_own=True)[unicorn_id]

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        return self._record(positions, now, is_own=False)

    def _record(
        self, positions: Mapping[str, Position], now: datetime, *, is_own: bool
    ) -> Mapping[str, Sighting]:
        expected = self._expected(positions, now)
        reports = {
            unicorn_id: (position, dump_position(position))
            for unicorn_id, position in positions.items()
        }
        extra = self._geo.commands(expected.values(), now)
        answers = note_positions(self._link, reports, now, is_own=is_own, extra=extra)
        recorded = _Recorded()
        for (unicorn_id, report), answer in zip(reports.items(), answers, strict=True):
            self._note_result(recorded, unicorn_id, report, answer, expected.get(unicorn_id), now)
        self._geo.take_away(recorded.astray, now)
        self._place(recorded.entered, recorded.relocations, now)
        return recorded.sightings

    def _note_result(
        self,
        recorded: _Recorded,
        unicorn_id: str,
        reported: tuple[Position, str],
        answer: Sequence[Any],
        made: Relocation | None,
        now: datetime,
    ) -> None:
        """Add to `recorded` the results of recording a position, and the relocation still needed.

        `made`: the relocation that the same call made.
        """
        news, before_text, state, noted, ride, advice, *ignored_since = answer
        last = self._last.read(unicorn_id, state, before_text)
        age = age_millis(noted, now)
        unicorn = last.unicorn if age < in_millis(STATE_CHECK) else None
        before, (position, text) = last.position, reported
        has_entered = bool(news) and _has_entered(self._fresh(before, now), position)
        if has_entered and unicorn:
            recorded.entered.append((unicorn, position))
        recorded.sightings[unicorn_id] = Sighting(
            unicorn,
            has_entered,
            ride_version_of(ride),
            advice_of(unicorn_id, advice, now),
            problem_of(PositionProblem.IMPLAUSIBLE_JUMP, *ignored_since, now=now),
        )
        if news:
            last.position_text, last.position = text, position
        # A state that is about to be checked still counts: its unicorn stays in sight.
        counts = last.unicorn if age < in_millis(STATE_TTL) else None
        wanted = self._relocation_of(counts, last.position, before, now) if news or made else None
        # Nearly always both are equal, and comparing them is faster than `is_like`.
        if wanted and made and (wanted == made or wanted.is_like(made)):
            return
        if made:
            recorded.astray[unicorn_id] = position.location
        if wanted:
            recorded.relocations.append(wanted)

    def _expected(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Relocation]:
        """The relocations of the unicorns if each still has the state that this process saw last.

        Nearly always it has that state, and then recording its position takes one call. Further
        calls correct the relocations of the unicorns that have another state.
        """
        relocations = {}
        for unicorn_id, position in positions.items():
            if last := self._last.get(unicorn_id):
                relocations[unicorn_id] = self._relocation_of(
                    last.unicorn, position, last.position, now
                )
        return {
            unicorn_id: relocation for unicorn_id, relocation in relocations.items() if relocation
        }

    def _relocation_of(
        self, unicorn: Unicorn | None, at: Position | None, before: Position | None, now: datetime
    ) -> Relocation | None:
        if unicorn and unicorn.can_take_a_ride and at and self._fresh(at, now):
            return Relocation(unicorn, at.location, before.location if before else None)
        return None

    def refresh(self, unicorn: Unicorn, now: datetime, ride_version: int | None = None) -> None:
        self._refresh([unicorn], now, ride_version)

    def refresh_all(self, unicorns: Collection[Unicorn], now: datetime) -> None:
        self._refresh(unicorns, now, None)

    def _refresh(
        self, unicorns: Collection[Unicorn], now: datetime, ride_version: int | None
    ) -> None:
        answers = note_states(self._link, unicorns, now, ride_version, _busy_commands(unicorns))
        seen: list[tuple[Unicorn, Position]] = []
        relocations = []
        for unicorn, (written, text, was_known) in zip(unicorns, answers, strict=True):
            position = self._fresh(position_of(text), now)
            if written and position:
                seen.append((unicorn, position))
                relocations.append(Relocation(unicorn, position.location, is_known=bool(was_known)))
        self._place(seen, relocations, now)
        # Where a newer state stays, the call counted the unicorn by the older one: count it again.
        late = [u.unicorn_id for u, answer in zip(unicorns, answers, strict=True) if not answer[0]]
        newer = [entry.unicorn for entry in self.entries(late, now).values()] if late else []
        if newer:
            with self._link.use() as client:
                client.exchange(_busy_commands(newer))

    def _place(
        self,
        seen: Collection[tuple[Unicorn, Position]],
        relocations: Collection[Relocation],
        now: datetime,
    ) -> None:
        """Update the map's hash and the GEO sets. One call."""
        if not (seen or relocations):
            return
        with self._link.pipe() as pipe:
            for unicorn, position in seen:
                city_map.note(pipe, unicorn, position, now)
            for command in self._geo.commands(relocations, now):
                pipe.execute_command(*command)
            pipe.execute()

    def forget(self, unicorn_ids: Collection[str]) -> None:
        with self._link.pipe() as pipe:
            for unicorn_id in unicorn_ids:
                pipe.delete(keys.unicorn(unicorn_id))
            pipe.execute()

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        hashes = [keys.unicorn(unicorn_id) for unicorn_id in unicorn_ids]
        with self._link.use() as client:
            answers = client.exchange(
                [("HMGET", name, "state", "noted", "position") for name in hashes]
            )
        return {
            unicorn_id: FleetEntry(unicorn, self._fresh(position_of(position), now))
            for unicorn_id, (state, noted, position) in zip(unicorn_ids, answers, strict=True)
            if (unicorn := state_of(state, noted, now)) and unicorn.unicorn_id == unicorn_id
        }

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.unicorn(unicorn_id), "position"))
        return self._fresh(position_of(text), now)

    def reached(self, unicorn_id: str, ride_id: str) -> datetime | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.unicorn(unicorn_id), "reached"))
        return reached_of(text, ride_id)

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
        found, busy = self._geo.near(counts, reach, equal_metres, most_equal, per_place, now)
        unicorn_ids = busy.union(*(each.unicorn_ids for each in found))
        entries = self.entries(sorted(unicorn_ids), now)
        truncated = {corner for corner, each in zip(corners, found, strict=True) if each.truncated}
        return Nearby(
            [entry for entry in entries.values() if entry.position],
            frozenset(place for place in places if _corner(place) in truncated),
        )

    def of_zone(self, zone: str, now: datetime) -> Sequence[FleetEntry]:
        entries = self.entries(self._geo.of_zone(zone, now), now)
        return [entry for entry in entries.values() if entry.position]


def _busy_commands(unicorns: Iterable[Unicorn]) -> list[Command]:
    """The commands that update the set of the unicorns that have a ride."""
    return [("SADD" if u.ride_id else "SREM", keys.BUSY, u.unicorn_id) for u in unicorns]


def _corner(place: Location) -> tuple[float, float]:
    """The corner of a place. Places with the same corner are searched around once."""
    return round(place.latitude, 3), round(place.longitude, 3)


def _has_entered(before: Position | None, after: Position) -> bool:
    return before is None or zone_of(before.location) != zone_of(after.location)
