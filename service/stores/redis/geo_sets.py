"""GEO sets of unicorns per zone and time span, which only help to find candidates.

Old positions disappear with their set, so a removal that is missed does no harm. Each candidate is
checked against its unicorn's own hash.
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
from service.stores.redis import keys
from service.stores.redis.link import Command, RedisLink, RedisStore

BUCKET_SECONDS: Final = 30
"""The time span of one GEO set."""
NORTHERNMOST: Final = 85.05
"""The highest latitude that Redis GEO accepts, in degrees. Positions beyond it are clamped, so
their distances are wrong: some candidates are too far away, which the pairing notices, and some
near unicorns are not found."""
FIRST_RADIUS_METRES: Final = 250.0
"""A search begins with this radius, and makes it four times as large while it finds too few."""


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

    unicorn_ids: set[str] = field(default_factory=set)
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
            for unicorn_id, at in places.items():
                for bucket in self._live(now):
                    pipe.zrem(keys.usable(zone_of(at), bucket), unicorn_id)
            pipe.execute()

    def commands(self, relocations: Iterable[Relocation], now: datetime) -> list[Command]:
        """The commands that put unicorns into the GEO sets in which a round looks for them.

        They also remove each unicorn from its former zone. One command adds all usable unicorns of
        a zone.
        """
        gone: dict[str, list[str]] = defaultdict(list)
        usable: dict[str, list[float | str]] = defaultdict(list)
        busy: dict[str, list[float | str]] = defaultdict(list)
        for relocation in relocations:
            unicorn, zone = relocation.unicorn, zone_of(relocation.at)
            unicorn_id = unicorn.unicorn_id
            left = {zone_of(relocation.before)} if relocation.before else set()
            if unicorn.can_take_a_ride:
                left.discard(zone)
                waits = millis(unicorn.idle_since) if unicorn.idle_since else ""
                usable[zone] += *_member(unicorn_id, relocation.at), waits
            elif unicorn.trip and unicorn.trip.dropoff:
                end = unicorn.trip.dropoff
                busy[keys.busy(zone_of(end), _bucket(now))] += _member(unicorn_id, end)
            if not relocation.was_taken_away:
                for each in left if unicorn.can_take_a_ride else {*left, zone}:
                    gone[each].append(unicorn_id)
        return self._commands(gone, usable, busy, now)

    _SEARCH_ZONE: Final = """
    -- KEYS usable… idle… busy…
    -- ARGV longitude latitude first_metres metres count equal_metres most_equal most_busy
    -- KEYS: GEO sets of usable unicorns; for each set, the hash of the times at which its unicorns
    -- began to wait; GEO sets of the dropoffs of busy unicorns.
    -- Returns the ids of the nearest usable unicorns, whether there are more within `metres`, and
    -- the ids of the nearest busy unicorns. The usable ones include, of the unicorns up to
    -- equal_metres farther, the most_equal that have waited longest: a limit by distance alone
    -- would choose at random within a row of parked unicorns.
    local sets, count, equal = #KEYS / 3, tonumber(ARGV[5]), tonumber(ARGV[6])
    local function search(name, radius, ...)
      return redis.call(
        'GEOSEARCH', name, 'FROMLONLAT', ARGV[1], ARGV[2], 'BYRADIUS', radius, 'm', ...)
    end
    local function nearest(radius)
      local hits = {}
      for i = 1, sets do
        for _, hit in ipairs(search(KEYS[i], radius, 'ASC', 'COUNT', count + 1, 'WITHDIST')) do
          table.insert(hits, {hit[1], tonumber(hit[2])})
        end
      end
      table.sort(hits, function(a, b) return a[2] < b[2] end)
      return hits
    end
    local busy = {}
    for i = 2 * sets + 1, #KEYS do
      for _, id in ipairs(search(KEYS[i], ARGV[4], 'ASC', 'COUNT', ARGV[8])) do
        table.insert(busy, id)
      end
    end
    -- GEOSEARCH sorts every hit in the radius, so begin with a small radius, and enlarge it only if
    -- it has too few hits.
    local radius, reach = tonumber(ARGV[3]), tonumber(ARGV[4])
    local hits = nearest(radius)
    while #hits <= count and radius < reach do
      radius = math.min(4 * radius, reach)
      hits = nearest(radius)
    end
    local ids = {}
    for i = 1, math.min(count, #hits) do ids[i] = hits[i][1] end
    if #hits <= count then return {ids, 0, busy} end
    if equal == 0 then return {ids, 1, busy} end
    local equals = {}
    for i = 1, sets do
      local near = search(KEYS[i], hits[count][2] + equal)
      for first = 1, #near, 1000 do
        local last = math.min(first + 999, #near)
        local since = redis.call('HMGET', KEYS[sets + i], unpack(near, first, last))
        for j = first, last do
          table.insert(equals, {near[j], tonumber(since[j - first + 1]) or math.huge})
        end
      end
    end
    table.sort(equals, function(a, b) return a[2] < b[2] end)
    for i = 1, math.min(tonumber(ARGV[7]), #equals) do table.insert(ids, equals[i][1]) end
    return {ids, 1, busy}
    """

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

        Searches the zones in reach and the live buckets. Usable: for each place and zone, as many
        of the nearest unicorns as `places` says, and of the unicorns up to `equal_metres` farther
        the `most_equal` that have waited longest. Busy: for each place, the `most_busy` whose trips
        end nearest to it.
        """
        radii = min(FIRST_RADIUS_METRES, radius_metres), radius_metres
        searches = [
            (number, zone, [*_point(place), *radii, count, equal_metres, most_equal, most_busy])
            for number, (place, count) in enumerate(places.items())
            for zone in sorted(zones_within(place, radius_metres))
        ]
        kinds, live = (keys.usable, keys.idle, keys.busy), self._live(now)
        answers = self._link.run_all(
            self._SEARCH_ZONE,
            [
                ([name(zone, bucket) for name in kinds for bucket in live], arguments)
                for _, zone, arguments in searches
            ],
        )
        found, busy = [Found() for _ in places], set[str]()
        for (number, *_), (unicorn_ids, truncated, busy_ids) in zip(searches, answers, strict=True):
            found[number].unicorn_ids.update(unicorn_ids)
            found[number].truncated |= bool(truncated)
            busy.update(busy_ids)
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
        for zone, unicorn_ids in gone.items():
            commands += (("ZREM", keys.usable(zone, b), *unicorn_ids) for b in self._live(now))
        for zone, members in usable.items():
            older = [keys.usable(zone, bucket) for bucket in self._live(now) if bucket != current]
            sets = [keys.usable(zone, current), keys.idle(zone, current), *older]
            commands.append(_put_usable(sets, lasts, members))
        for name, members in busy.items():
            commands += (("GEOADD", name, *members), ("EXPIRE", name, lasts))
        return commands

    def _live(self, now: datetime) -> range:
        return range(_bucket(now) - self._buckets + 1, _bucket(now) + 1)


_PUT_USABLE: Final = """
-- KEYS usable_now idle_now older_usable…  ARGV ttl_seconds (longitude latitude id waits_since_ms)…
-- Puts each unicorn into the set of the present span of time and removes it from the older ones.
-- Notes since when it waits, if waits_since_ms is given.
for i = 2, #ARGV, 4 do
  for k = 3, #KEYS do redis.call('ZREM', KEYS[k], ARGV[i + 2]) end
  redis.call('GEOADD', KEYS[1], ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if ARGV[i + 3] ~= '' then redis.call('HSET', KEYS[2], ARGV[i + 2], ARGV[i + 3]) end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
"""


def _put_usable(sets: Sequence[str], lasts: int, members: Sequence[float | str]) -> Command:
    # EVAL with the text, because EVALSHA fails the whole call if a new Redis lacks the script.
    return ("EVAL", _PUT_USABLE, len(sets), *sets, lasts, *members)


def _member(unicorn_id: str, at: Location) -> tuple[float, float, str]:
    return *_point(at), unicorn_id


def _point(at: Location) -> tuple[float, float]:
    return at.longitude, max(-NORTHERNMOST, min(NORTHERNMOST, at.latitude))


def _bucket(now: datetime) -> int:
    return int(now.timestamp()) // BUCKET_SECONDS
