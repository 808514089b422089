"""A text in Redis that this release cannot read spoils nothing but itself, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest

from service.matching.zones import zone_of
from service.model import WORLD, Pairing, Position, PositionProblem, Trip
from service.stores.redis import keys
from service.stores.redis.city_map import RedisCityMap
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.moves import RedisMoves
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import BATTERY_PARK, CENTRAL_PARK, NOW, a_ride, a_usable_unicorn

STALE: Final = timedelta(seconds=60)
ZONE: Final = zone_of(BATTERY_PARK)
RIDE: Final = a_ride(zone=ZONE)
OF_A_UNICORN: Final = (
    *("position", "state", "noted", "version", "ride", "trail", "advice", "reached"),
    *("doubted", "problem", "problem_since", "heard", "called", "refused", "placed"),
)
HASHES: Final = (
    *((keys.unicorn("u1"), field) for field in OF_A_UNICORN),
    *((keys.HEARING, field) for field in ("since", "last")),
    *((of_zone(ZONE), RIDE.ride_id) for of_zone in (keys.waiting, keys.plans, keys.alone)),
    (keys.fleet(ZONE), "u1"),
    (keys.advice(ZONE), "u1"),
    (keys.requests(ZONE, int(NOW.timestamp()) // 900), "1"),
)
STRINGS: Final = (
    keys.EPOCH,
    *(of_zone(ZONE) for of_zone in (keys.mark, keys.triggered, keys.resume, keys.moves)),
)
SETS: Final = (keys.ZONES, keys.running(ZONE), keys.BUSY)

Write = Callable[[RedisLink, bytes], object]


def writes() -> Iterator[tuple[str, Write]]:
    """How a text is written to each place, by the name of the place."""
    for name, field in HASHES:
        yield f"{name} {field}", lambda link, text, n=name, f=field: link.client.hset(n, f, text)
    for name in STRINGS:
        yield name, lambda link, text, n=name: link.client.set(n, text)
    for name in SETS:
        yield name, lambda link, text, n=name: link.client.sadd(n, text)


WRITES: Final = dict(writes())


def calls(link: RedisLink) -> Iterator[Callable[[], object]]:
    """Calls that read what other calls have written, in an order in which they happen."""
    fleet, moves, city = RedisFleetIndex(link, STALE), RedisMoves(link), RedisCityMap(link, STALE)
    at, unicorn, later = Position(BATTERY_PARK, NOW), a_usable_unicorn(), NOW + STALE / 10
    yield lambda: fleet.report_hearing("process", NOW)
    yield lambda: fleet.record("u1", at, NOW)
    yield lambda: fleet.refresh(unicorn.reserved("r", Trip(BATTERY_PARK, CENTRAL_PARK)), NOW, 3)
    yield lambda: fleet.record_all({"u1": Position(BATTERY_PARK, later)}, later)
    yield lambda: fleet.hear("u1", NOW)
    yield lambda: fleet.presence("u1", NOW)
    yield lambda: fleet.could_answer("u1", NOW, NOW)
    yield lambda: fleet.silent_together("u1", NOW)
    yield lambda: fleet.reached("u1", "r")
    yield lambda: fleet.near([BATTERY_PARK], reach_metres=1000, per_place=4, now=NOW)
    yield lambda: fleet.of_zone(ZONE, NOW)
    yield lambda: fleet.ignore_all({"u1": PositionProblem.IMPLAUSIBLE_JUMP}, NOW)
    yield lambda: city.unicorns(WORLD, 10, NOW)
    yield lambda: city.waiting(WORLD, 10)
    yield lambda: moves.outlook(ZONE, NOW)
    yield lambda: moves.advised([ZONE], NOW)
    yield from round_calls(RedisWaitingRides(link))


def round_calls(waiting: RedisWaitingRides) -> Iterator[Callable[[], object]]:
    yield lambda: waiting.add([RIDE])
    yield lambda: waiting.mark([ZONE])
    yield lambda: waiting.plan_of(ZONE, RIDE.ride_id)
    lease = waiting.take(ZONE)
    assert lease
    yield lease.begin_round
    yield lambda: lease.try_alone(RIDE.ride_id)
    yield lambda: lease.finish_round([Pairing(RIDE.ride_id, "u1", 60, 300)], None)
    yield lambda: lease.clear(RIDE.ride_id)
    yield lease.release


@pytest.mark.parametrize("text", [b"\xff", b"-1e999", b"[1]", b"9" * 20])
@pytest.mark.parametrize("place", WRITES)
def test_no_text_in_redis_makes_a_call_fail(link: RedisLink, place: str, text: bytes) -> None:
    for call in calls(link):
        WRITES[place](link, text)
        call()


def test_a_suspect_whose_count_is_unreadable_is_counted_anew(link: RedisLink) -> None:
    waiting = RedisWaitingRides(link)
    waiting.add([RIDE])
    link.client.sadd(keys.running(ZONE), RIDE.ride_id)
    link.client.hset(keys.alone(ZONE), RIDE.ride_id, "x")
    lease = waiting.take(ZONE)
    assert lease
    assert lease.begin_round().suspects == {RIDE.ride_id: 0}
    lease.try_alone(RIDE.ride_id)
    assert lease.begin_round().suspects == {RIDE.ride_id: 1}
    lease.release()
