"""GEO sets of unicorns per zone and time span, which only help to find candidates.

Old positions disappear with their set, so nothing has to remove them. Each candidate is checked
against its unicorn's own hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from service.matching.zones import zone_of, zones_within
from service.model import Location, Unicorn, UnicornState
from service.stores.records import millis
from service.stores.redis import keys, scripts
from service.stores.redis.link import Command, RedisLink, RedisStore

BUCKET_SECONDS: Final = 30
"""The time span of one GEO set."""
NORTHERNMOST: Final = 85.05
"""The highest latitude that Redis GEO accepts, in degrees. Positions beyond it are clamped, so
their distances are wrong: some candidates are too far away, which the pairing notices, and some
near unicorns are not found."""


FIRST_RADIUS_METRES: Final = 250.0
"""A search begins with this radius; if it finds too few, it continues with the whole reach."""


@dataclass(frozen=True, slots=True)
class Relocation:
    """A unicorn that is at `at` now and was at `before` (None: unknown).

    `is_known`: whether this version of the unicorn was relocated before.
    """

    unicorn: Unicorn
    at: Location
    before: Location | None = None
    is_known: bool = False

    def is_like(self, other: Relocation) -> bool:
        """Whether both relocations have the same effect on the GEO sets."""
        return self._effect() == other._effect()

    def _effect(self) -> tuple[Any, ...]:
        unicorn, left = self.unicorn, self.before or self.at
        return self.at, zone_of(left), unicorn.can_take_a_ride, unicorn.idle_since

    @property
    def was_taken_away(self) -> bool:
        """Whether an earlier relocation has removed it from the sets, when it was reserved."""
        is_busy = not self.unicorn.can_take_a_ride
        return self.unicorn.state is UnicornState.ON_TRIP or (is_busy and self.is_known)


@dataclass(slots=True)
class Found:
    """The ids of the found unicorns, and whether there are more within the radius."""

    names: set[str] = field(default_factory=set)
    truncated: bool = False


class GeoSets(RedisStore):
    """Usable unicorns by position, busy ones by dropoff. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        super().__init__(link)
        self._buckets = 1 + -(-int(stale.total_seconds()) // BUCKET_SECONDS)

    def take_away(self, places: Mapping[str, Location], now: datetime) -> None:
        """Take unicorns (by id) away from the zones of these places."""
        if not places:
            return
        with self._link.pipe() as pipe:
            for name, at in places.items():
                for bucket in self._live(now):
                    pipe.zrem(keys.usable(zone_of(at), bucket), name)
            pipe.execute()

    def commands(self, relocations: Iterable[Relocation], now: datetime) -> list[Command]:
        """The commands that put unicorns into the GEO sets in which a round looks for them.

        They also remove each unicorn from its former zone. One command per zone of usable unicorns.
        """
        gone: dict[str, list[str]] = defaultdict(list)
        usable: dict[str, list[float | str]] = defaultdict(list)
        busy: dict[str, list[float | str]] = defaultdict(list)
        for relocation in relocations:
            name, zone, unicorn = (
                relocation.unicorn.unicorn_id,
                zone_of(relocation.at),
                relocation.unicorn,
            )
            left = {zone_of(relocation.before)} if relocation.before else set()
            if unicorn.can_take_a_ride:
                left.discard(zone)
                waits = millis(unicorn.idle_since) if unicorn.idle_since else ""
                usable[zone] += *_member(name, relocation.at), waits
            elif unicorn.trip and unicorn.trip.dropoff:
                end = unicorn.trip.dropoff
                busy[keys.busy(zone_of(end), _bucket(now))] += _member(name, end)
            if not relocation.was_taken_away:
                for each in left if unicorn.can_take_a_ride else {*left, zone}:
                    gone[each].append(name)
        return self._commands(gone, usable, busy, now)

    def near(
        self,
        places: Mapping[Location, int],
        radius_metres: float,
        equal_metres: float,
        most_equal: int,
        most_busy: int,
        now: datetime,
    ) -> tuple[list[Found], set[str]]:
        """The usable unicorns around each place, and the busy unicorns around all. One remote call.

        Searches the zones in reach and the live buckets. Usable: for each place, the `count`
        nearest unicorns, and of the unicorns up to `equal_metres` farther the `most_equal` that
        have waited longest. Busy: for each place, the `most_busy` whose trips end nearest to it.
        """
        radii = min(FIRST_RADIUS_METRES, radius_metres), radius_metres
        searches = [
            (number, zone, [*_point(place), *radii, count, equal_metres, most_equal, most_busy])
            for number, (place, count) in enumerate(places.items())
            for zone in sorted(zones_within(place, radius_metres))
        ]
        kinds, live = (keys.usable, keys.idle, keys.busy), self._live(now)
        answers = self._link.run_all(
            scripts.SEARCH_ZONE,
            [
                ([name(zone, bucket) for name in kinds for bucket in live], arguments)
                for _, zone, arguments in searches
            ],
        )
        found, busy = [Found() for _ in places], set[str]()
        for (number, *_), (names, cut, busy_names) in zip(searches, answers, strict=True):
            found[number].names.update(names)
            found[number].truncated |= bool(cut)
            busy.update(busy_names)
        return found, busy

    def of_zone(self, zone: str, now: datetime) -> Sequence[str]:
        """Ids of the unicorns of the zone's live sets, in order."""
        with self._link.pipe() as pipe:
            for bucket in self._live(now):
                pipe.zrange(keys.usable(zone, bucket), 0, -1)
                pipe.zrange(keys.busy(zone, bucket), 0, -1)
            return sorted(set[str]().union(*pipe.execute()))

    def _commands(
        self,
        gone: Mapping[str, Sequence[str]],
        usable: Mapping[str, Sequence[float | str]],
        busy: Mapping[str, Sequence[float | str]],
        now: datetime,
    ) -> list[Command]:
        lasts, current = (self._buckets + 1) * BUCKET_SECONDS, _bucket(now)
        commands: list[Command] = []
        for zone, names in gone.items():
            commands += (("ZREM", keys.usable(zone, b), *names) for b in self._live(now))
        for zone, members in usable.items():
            older = [keys.usable(zone, bucket) for bucket in self._live(now) if bucket != current]
            sets = [keys.usable(zone, current), keys.idle(zone, current), *older]
            # EVAL with the text, because EVALSHA fails the whole call if a new Redis lacks the
            # script.
            commands.append(("EVAL", scripts.PUT_USABLE, len(sets), *sets, lasts, *members))
        for name, members in busy.items():
            commands += (("GEOADD", name, *members), ("EXPIRE", name, lasts))
        return commands

    def _live(self, now: datetime) -> range:
        return range(_bucket(now) - self._buckets + 1, _bucket(now) + 1)


def _member(name: str, at: Location) -> tuple[float, float, str]:
    return *_point(at), name


def _point(at: Location) -> tuple[float, float]:
    return at.longitude, _indexable(at.latitude)


def _bucket(now: datetime) -> int:
    return int(now.timestamp()) // BUCKET_SECONDS


def _indexable(latitude: float) -> float:
    return max(-NORTHERNMOST, min(NORTHERNMOST, latitude))
