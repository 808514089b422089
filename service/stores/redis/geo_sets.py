"""GEO sets of unicorns per zone and span of time: they help to find candidates, no more.

Old places disappear with their set, nobody has to remove them. Whatever a set says is checked
against what is known of the unicorn itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.matching.zones import zone_of, zones_within
from service.model import Location, Unicorn
from service.stores.redis import keys
from service.stores.redis.link import RedisLink

BUCKET_SECONDS: Final = 30
"""Span of one GEO set."""
NORTHERNMOST: Final = 85.05
"""Where GEO sets end, degrees (Web Mercator). Nearer the poles distances are off: some candidates
are found that are too far away, which the pairing notices, and some that are near are not."""


@dataclass(frozen=True, slots=True)
class Move:
    """A unicorn that is at `at` now and was at `before`, if that is known."""

    unicorn: Unicorn
    at: Location
    before: Location | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Whom to look for: in which GEO sets, how far around a place."""

    place: Location
    radius_metres: float
    name: Callable[[str, int], str]


class GeoSets:
    """Usable unicorns where they are, busy ones where they will be. Raises `Unavailable`."""

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        self._link = link
        self._buckets = 1 + -(-int(stale.total_seconds()) // BUCKET_SECONDS)

    def move(self, moves: Iterable[Move], now: datetime) -> None:
        """Put unicorns where a round looks for them, and take them away from where they were."""
        gone: dict[str, list[str]] = defaultdict(list)
        here: dict[str, list[float | str]] = defaultdict(list)
        for move in moves:
            name, zone = move.unicorn.unicorn_id, zone_of(move.at)
            for left in {zone, zone_of(move.before) if move.before else zone}:
                gone[left].append(name)
            if move.unicorn.can_take_a_ride:
                here[keys.usable(zone, _bucket(now))] += _member(name, move.at)
            elif move.unicorn.trip and move.unicorn.trip.dropoff:
                end = move.unicorn.trip.dropoff
                here[keys.busy(zone_of(end), _bucket(now))] += _member(name, end)
        self._write(gone, here, now)

    def search(self, searches: Sequence[Search], count: int, now: datetime) -> list[set[str]]:
        """Ids of the nearest unicorns per search, over zones in reach and live buckets."""
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
                    search.name(zone, bucket),
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

    def _write(
        self, gone: dict[str, list[str]], here: dict[str, list[float | str]], now: datetime
    ) -> None:
        """Take away first: what is put in the current bucket must stay."""
        if not gone:
            return
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for zone, names in gone.items():
                for bucket in self._live_buckets(now):
                    pipe.zrem(keys.usable(zone, bucket), *names)
            for name, members in here.items():
                pipe.geoadd(name, members)
                pipe.expire(name, (self._buckets + 1) * BUCKET_SECONDS)
            pipe.execute()

    def _live_buckets(self, now: datetime) -> range:
        return range(_bucket(now) - self._buckets + 1, _bucket(now) + 1)


def _member(name: str, at: Location) -> tuple[float, float, str]:
    return at.longitude, _indexable(at.latitude), name


def _bucket(now: datetime) -> int:
    return int(now.timestamp()) // BUCKET_SECONDS


def _indexable(latitude: float) -> float:
    return max(-NORTHERNMOST, min(NORTHERNMOST, latitude))
