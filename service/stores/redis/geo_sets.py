"""GEO sets of unicorns per zone and time span, which only help to find candidates.

Old positions disappear with their set, so nothing has to remove them. Each candidate is checked
against its unicorn's own hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from service.matching.zones import zone_of, zones_within
from service.model import Location, Unicorn, UnicornState
from service.stores.redis import keys, scripts
from service.stores.redis.link import RedisLink, run_all

BUCKET_SECONDS: Final = 30
"""The time span of one GEO set."""
NORTHERNMOST: Final = 85.05
"""The highest latitude that Redis GEO accepts, in degrees; beyond it positions are clamped. There
distances are wrong: some candidates are too far away, which the pairing notices, and some near
unicorns are not found."""


FIRST_RADIUS_METRES: Final = 1000.0
"""A search begins with this radius; if it finds too few, it continues with the whole reach."""


@dataclass(frozen=True, slots=True)
class Move:
    """A unicorn that is at `at` now and was at `before` (None: unknown).

    `is_known`: whether this version of the unicorn was moved before.
    """

    unicorn: Unicorn
    at: Location
    before: Location | None = None
    is_known: bool = False

    @property
    def was_taken_away(self) -> bool:
        """Whether an earlier move has already removed it from the sets, when it was reserved."""
        is_busy = not self.unicorn.can_take_a_ride
        return self.unicorn.state is UnicornState.ON_TRIP or (is_busy and self.is_known)


@dataclass(slots=True)
class Found:
    """The ids of the found unicorns, and whether there are more within the radius."""

    names: set[str] = field(default_factory=set)
    cut: bool = False


class GeoSets:
    """Usable unicorns by position, busy ones by dropoff. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        self._link = link
        self._buckets = 1 + -(-int(stale.total_seconds()) // BUCKET_SECONDS)
        self._search_zone = link.client.register_script(scripts.SEARCH_ZONE)

    def move(self, moves: Iterable[Move], now: datetime) -> None:
        """Add unicorns to the sets in which a round searches, and remove them from old ones."""
        gone: dict[str, list[str]] = defaultdict(list)
        here: dict[str, list[float | str]] = defaultdict(list)
        idle: dict[str, list[float | str]] = defaultdict(list)
        for move in moves:
            name, zone = move.unicorn.unicorn_id, zone_of(move.at)
            if not move.was_taken_away:
                for left in {zone, zone_of(move.before) if move.before else zone}:
                    gone[left].append(name)
            if move.unicorn.can_take_a_ride:
                here[keys.usable(zone, _bucket(now))] += _member(name, move.at)
                if since := move.unicorn.idle_since:
                    idle[keys.idle(zone, _bucket(now))] += name, int(since.timestamp() * 1000)
            elif move.unicorn.trip and move.unicorn.trip.dropoff:
                end = move.unicorn.trip.dropoff
                here[keys.busy(zone_of(end), _bucket(now))] += _member(name, end)
        self._write(gone, here, idle, now)

    def usable(
        self,
        places: Mapping[Location, int],
        radius_metres: float,
        equal_metres: float,
        most_equal: int,
        now: datetime,
    ) -> list[Found]:
        """The `count` nearest usable unicorns of each place, over zones in reach and live buckets.

        Also up to `most_equal` of those up to `equal_metres` farther: the longest waiting.
        """
        radii = min(FIRST_RADIUS_METRES, radius_metres), radius_metres
        searches = [
            (number, zone, [*_point(place), *radii, count, equal_metres, most_equal])
            for number, (place, count) in enumerate(places.items())
            for zone in sorted(zones_within(place, radius_metres))
        ]
        answers = run_all(
            self._link,
            self._search_zone,
            [
                (
                    [name(zone, b) for name in (keys.usable, keys.idle) for b in self._live(now)],
                    arguments,
                )
                for _, zone, arguments in searches
            ],
        )
        found = [Found() for _ in places]
        for (number, *_), (names, cut) in zip(searches, answers, strict=True):
            found[number].names.update(names)
            found[number].cut |= bool(cut)
        return found

    def busy(
        self, places: Sequence[Location], radius_metres: float, count: int, now: datetime
    ) -> set[str]:
        """Ids of the busy unicorns whose trips end nearest to each place."""
        found: set[str] = set()
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for place in places:
                for zone in sorted(zones_within(place, radius_metres)):
                    for bucket in self._live(now):
                        pipe.geosearch(
                            keys.busy(zone, bucket),
                            longitude=place.longitude,
                            latitude=_indexable(place.latitude),
                            radius=radius_metres,
                            unit="m",
                            sort="ASC",
                            count=count,
                        )
            for hits in pipe.execute():
                found.update(hits)
        return found

    def of_zone(self, zone: str, now: datetime) -> Sequence[str]:
        """Ids of the unicorns of the zone's live sets, in order."""
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for bucket in self._live(now):
                pipe.zrange(keys.usable(zone, bucket), 0, -1)
                pipe.zrange(keys.busy(zone, bucket), 0, -1)
            return sorted(set[str]().union(*pipe.execute()))

    def _write(
        self,
        gone: Mapping[str, Sequence[str]],
        here: Mapping[str, Sequence[float | str]],
        idle: Mapping[str, Sequence[float | str]],
        now: datetime,
    ) -> None:
        """Write the sets. Removals come first, so that they do not remove what is added."""
        if not (gone or here):
            return
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for zone, names in gone.items():
                for bucket in self._live(now):
                    pipe.zrem(keys.usable(zone, bucket), *names)
            for name, members in here.items():
                pipe.geoadd(name, members)
            for name, since in idle.items():
                pipe.hset(name, items=list(since))
            for name in (*here, *idle):
                pipe.expire(name, (self._buckets + 1) * BUCKET_SECONDS)
            pipe.execute()

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
