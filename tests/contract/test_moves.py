"""What repositioning remembers: the same in Redis and in the fake."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import h3
import pytest

from service.core.ports import FleetIndex, LastRun, MoveMemory, RoundLeases, WaitingRides
from service.matching.demand import PICKUP_RESOLUTION, Move
from service.matching.zones import zone_of
from service.model import Advice, Location, Pairing, Position, Trip
from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.moves import RedisMoves
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.fakes_moves import FakeMoves
from tests.support.fakes_redis import FakeFleetIndex, FakeWaitingRides

HERE, THERE = Location(40.7128, -74.0060), Location(40.7580, -73.9855)
ZONE = zone_of(HERE)
CELL = h3.latlng_to_cell(HERE.latitude, HERE.longitude, PICKUP_RESOLUTION)
STALE = timedelta(seconds=60)
MOVE = Move("u1", "882a100d67fffff", THERE, 300.0, 2000.0)
ADVICE = Advice("u1", MOVE.cell, THERE, NOW, NOW + timedelta(seconds=60))


class Both(WaitingRides, RoundLeases): ...


@dataclass
class Stores:
    moves: MoveMemory
    fleet: FleetIndex
    waiting: Both


@pytest.fixture(params=["fake", "redis"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "fake":
        fleet, waiting = FakeFleetIndex(STALE), FakeWaitingRides()
        return Stores(FakeMoves(fleet, waiting), fleet, waiting)  # type: ignore[arg-type]
    link: RedisLink = request.getfixturevalue("link")
    real = RedisWaitingRides(link)
    return Stores(RedisMoves(link), RedisFleetIndex(link, STALE), real)  # type: ignore[arg-type]


def test_a_rider_counts_once_however_often_it_asks(stores: Stores) -> None:
    for number in range(5):
        at = THERE if number else HERE
        ride = a_ride(ride_id=f"r{number}", rider_id="a", pickup=at, zone=ZONE)
        stores.waiting.add([ride])
    stores.waiting.add([a_ride(ride_id="other", rider_id="b", pickup=HERE, zone=ZONE)])
    requests = stores.moves.outlook(ZONE, NOW).requests
    assert Counter(each.cell for each in requests) == {CELL: 2}
    assert {each.at for each in requests} == {NOW}
    assert stores.moves.zones(NOW) == [ZONE]


def test_a_rider_counts_again_in_the_next_quarter_of_an_hour_and_then_no_more(
    stores: Stores,
) -> None:
    for minutes in (0, 15):
        at = NOW + timedelta(minutes=minutes)
        ride = a_ride(ride_id=f"r{minutes}", pickup=HERE, zone=ZONE, requested_at=at)
        stores.waiting.add([ride])
        stores.waiting.add([ride])
    assert len(stores.moves.outlook(ZONE, NOW + timedelta(minutes=15)).requests) == 2
    assert len(stores.moves.outlook(ZONE, NOW + timedelta(minutes=30)).requests) == 1
    assert stores.moves.outlook(ZONE, NOW + timedelta(minutes=45)).requests == []
    assert stores.moves.zones(NOW + timedelta(minutes=46)) == []


def test_an_outlook_names_who_is_planned_and_how_old_the_memory_is(stores: Stores) -> None:
    assert stores.moves.outlook(ZONE, NOW).since is None
    stores.fleet.begin_epoch(NOW - timedelta(hours=1))
    lease = stores.waiting.take(ZONE)
    assert lease
    lease.begin_round()
    lease.finish_round([Pairing("ride-1", "u7", 100, 500)], None)
    lease.release()
    outlook = stores.moves.outlook(ZONE, NOW)
    assert (outlook.planned, outlook.last) == ({"u7"}, None)
    assert outlook.since == NOW.replace(microsecond=123_000) - timedelta(hours=1)


def test_a_run_is_kept_and_its_advice_is_seen_wherever_the_unicorn_is(stores: Stores) -> None:
    stores.fleet.refresh(a_usable_unicorn(), NOW)
    stores.fleet.record("u1", Position(HERE, NOW), NOW)
    run = LastRun(
        at=NOW,
        moves=[MOVE],
        goal_by_unicorn={"u1": MOVE.cell, "u2": MOVE.cell},
        trust={"u3": 0.25},
        followers=frozenset({"u2"}),
        predicted_at=NOW - timedelta(seconds=90),
        predicted={MOVE.cell: 2.5},
    )
    stores.moves.advise(ZONE, run, [ADVICE])
    assert stores.moves.outlook(ZONE, NOW).last == run
    assert stores.moves.advised([ZONE], NOW) == [ADVICE]
    assert stores.fleet.presence("u1", NOW).advice == ADVICE
    later = NOW + timedelta(seconds=4)
    assert stores.fleet.record("u1", Position(HERE, later), later).advice == ADVICE
    assert stores.fleet.record_all({"u1": Position(HERE, later)}, later)["u1"].advice == ADVICE
    over = ADVICE.expires_at
    assert stores.moves.advised([ZONE], over) == []
    assert stores.fleet.presence("u1", over).advice is None
    assert stores.fleet.presence("u1", NOW - timedelta(seconds=1)).advice is None


def test_a_unicorn_that_the_next_run_does_not_name_loses_its_advice(stores: Stores) -> None:
    stores.fleet.refresh(a_usable_unicorn(), NOW)
    stores.moves.advise(ZONE, LastRun(at=NOW, moves=[MOVE]), [ADVICE])
    other = replace(ADVICE, unicorn_id="u2")
    stores.moves.advise(ZONE, LastRun(at=NOW), [other])
    assert stores.fleet.presence("u1", NOW).advice is None
    assert stores.moves.advised([ZONE], NOW) == [other]
    stores.moves.advise(ZONE, LastRun(at=NOW), [])
    assert stores.moves.advised([ZONE], NOW) == []


def test_the_unicorns_of_a_zone_stand_there_or_will_drop_off_there(stores: Stores) -> None:
    far = Location(45.5, -73.6)
    trip = Trip(far, HERE)
    for unicorn, at in (
        (a_usable_unicorn(unicorn_id="here"), HERE),
        (a_usable_unicorn(unicorn_id="far"), far),
        (a_usable_unicorn(unicorn_id="comes").reserved("r1", trip), far),
        (a_usable_unicorn(unicorn_id="leaves").reserved("r2", Trip(HERE, far)), HERE),
    ):
        stores.fleet.record(unicorn.unicorn_id, Position(at, NOW), NOW)
        stores.fleet.refresh(unicorn, NOW)
    found = [entry.unicorn.unicorn_id for entry in stores.fleet.of_zone(ZONE, NOW)]
    assert sorted(found) == ["comes", "here"]
    assert stores.fleet.of_zone(ZONE, NOW + timedelta(minutes=5)) == []


def test_the_counters_are_limited_expire_and_name_no_rider(link: RedisLink) -> None:
    sub = "4f1c2d3e-rider"
    waiting = RedisWaitingRides(link)
    waiting.add([a_ride(rider_id=sub, pickup=HERE, zone=ZONE)])
    name = keys.requests(ZONE, int(NOW.timestamp()) // 900)
    with link.use() as client:
        stored = client.hgetall(name)
        assert 0 < client.ttl(name) <= 1800
    ((number, value),) = stored.items()
    assert int(number) < 65_536
    assert sub not in f"{number} {value}"
    cell, at = value.split()
    assert (cell, int(at)) == (CELL, int(NOW.timestamp() * 1000))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (0, 2),
        (2, [["u1", MOVE.cell, 40.7, -74.0, None, 2000.0]]),
        (2, [["u1", MOVE.cell, 40.7, -74.0, 300.0, "far"]]),
        (3, ["u1"]),
        (4, {"u1": None}),
        (5, 7),
        (6, [0, {MOVE.cell: "many"}]),
    ],
)
def test_a_run_with_a_part_of_another_form_is_ignored(
    link: RedisLink, part: int, other: object
) -> None:
    moves = RedisMoves(link)
    moves.advise(ZONE, LastRun(at=NOW, moves=[MOVE]), [])
    with link.use() as client:
        parts = json.loads(client.get(keys.moves(ZONE)) or "")
        parts[part] = other
        client.set(keys.moves(ZONE), json.dumps(parts))
    assert moves.outlook(ZONE, NOW).last is None


def test_unreadable_entries_of_repositioning_are_ignored(link: RedisLink) -> None:
    moves, name = RedisMoves(link), keys.requests(ZONE, int(NOW.timestamp()) // 900)
    with link.use() as client:
        client.hset(name, mapping={"1": "nonsense", "2": f"{CELL} x", "3": "882a100d67fffff 1"})
        client.hset(keys.advice(ZONE), "u1", "[1]")
        client.set(keys.moves(ZONE), "{")
        client.hset(keys.unicorn("u1"), "advice", "?")
    outlook = moves.outlook(ZONE, NOW)
    assert (outlook.requests, outlook.last) == ([], None)
    assert moves.advised([ZONE], NOW) == []
    assert RedisFleetIndex(link, STALE).presence("u1", NOW).advice is None
