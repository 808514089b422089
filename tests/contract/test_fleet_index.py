"""The fleet index behaves the same in Redis and in the fake."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from service.core.model import FleetEntry, Location, Position, Trip, Unicorn, UnicornState
from service.core.ports import FleetIndex
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from tests.builders import NOW, a_unicorn
from tests.fakes_redis import FakeFleetIndex
from tests.infrastructure import RedisServer

HERE = Location(40.7128, -74.0060)
NEAR = Location(40.7150, -74.0080)
FAR = Location(40.9000, -73.5000)
STALE = timedelta(seconds=60)


@pytest.fixture(params=["fake", "redis"])
def fleet(request: pytest.FixtureRequest) -> FleetIndex:
    if request.param == "fake":
        return FakeFleetIndex(STALE)
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisFleetIndex(RedisLink(connect(server.url, timeout_seconds=2)), STALE)


def a_usable_unicorn(unicorn_id: str = "u1", **changes: object) -> Unicorn:
    return a_unicorn(unicorn_id=unicorn_id, state=UnicornState.AVAILABLE, accepting=True, **changes)


def at(location: Location, when: datetime = NOW) -> Position:
    return Position(location, when, heading=90.0, speed=4.5)


def near(fleet: FleetIndex, place: Location = HERE, now: datetime = NOW) -> list[FleetEntry]:
    return list(fleet.near([place], reach_metres=2250, per_place=16, now=now))


def test_an_unknown_unicorns_position_asks_for_its_state(fleet: FleetIndex) -> None:
    sighting = fleet.record("u1", at(HERE), NOW)
    assert sighting.unicorn is None
    assert sighting.entered


def test_a_known_unicorn_is_found_near_its_position(fleet: FleetIndex) -> None:
    unicorn = a_usable_unicorn()
    fleet.record("u1", at(NEAR), NOW)
    fleet.refresh(unicorn, NOW)
    assert near(fleet) == [FleetEntry(unicorn, at(NEAR))]
    assert near(fleet, FAR) == []


def test_a_unicorn_is_found_where_it_went(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(FAR), NOW)
    later = NOW + timedelta(seconds=4)
    fleet.record("u1", at(HERE, later), later)
    assert [entry.position for entry in near(fleet, now=later)] == [at(HERE, later)]


def test_an_older_position_than_the_last_is_ignored(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(HERE), NOW)
    late = fleet.record("u1", at(FAR, NOW - timedelta(seconds=1)), NOW)
    assert not late.entered
    assert fleet.position("u1", NOW) == at(HERE)


def test_a_unicorn_enters_once_and_again_after_silence_or_in_another_zone(
    fleet: FleetIndex,
) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    times = [NOW + timedelta(seconds=seconds) for seconds in (0, 4, 70, 74)]
    places = [HERE, NEAR, NEAR, FAR]
    entered = [
        fleet.record("u1", at(place, time), time).entered
        for place, time in zip(places, times, strict=True)
    ]
    assert entered == [True, False, True, True]


def test_a_stale_position_is_no_position(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(HERE), NOW)
    later = NOW + STALE + timedelta(seconds=1)
    assert near(fleet, now=later) == []
    assert fleet.position("u1", later) is None
    assert fleet.entries(["u1"], later)["u1"].position is None


def test_an_older_state_never_replaces_a_newer_one(fleet: FleetIndex) -> None:
    fleet.record("u1", at(HERE), NOW)
    newer = a_usable_unicorn(version=5)
    fleet.refresh(newer, NOW)
    fleet.refresh(a_unicorn(unicorn_id="u1", version=4), NOW)
    assert fleet.entries(["u1"], NOW)["u1"].unicorn == newer


def test_a_reserved_unicorn_is_found_where_it_will_drop_off(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(FAR), NOW)
    busy = a_usable_unicorn().reserved("ride-1", Trip(FAR, HERE))
    fleet.refresh(busy, NOW)
    assert near(fleet) == [FleetEntry(busy, at(FAR))]


def test_a_unicorn_off_duty_is_not_found(fleet: FleetIndex) -> None:
    on_duty = a_usable_unicorn()
    fleet.record("u1", at(HERE), NOW)
    fleet.refresh(on_duty, NOW)
    fleet.refresh(on_duty.with_availability(False), NOW)
    assert [e for e in near(fleet) if e.unicorn.can_take_a_ride] == []


def test_the_nearest_are_found_first_among_many(fleet: FleetIndex) -> None:
    for n in range(40):
        fleet.refresh(a_usable_unicorn(f"u{n}"), NOW)
        fleet.record(f"u{n}", at(Location(40.7128 + n * 0.0004, -74.0060)), NOW)
    found = {entry.unicorn.unicorn_id for entry in near(fleet)}
    assert {f"u{n}" for n in range(16)} <= found


def test_a_new_index_makes_nobody_look_silent(fleet: FleetIndex) -> None:
    assert fleet.silent_for("u1", NOW) == timedelta()
    assert fleet.begin_epoch(NOW)
    assert not fleet.begin_epoch(NOW + timedelta(seconds=5))
    assert fleet.silent_for("u1", NOW + timedelta(seconds=7)) == timedelta(seconds=7)
    fleet.record("u1", at(HERE, NOW + timedelta(seconds=6)), NOW + timedelta(seconds=6))
    assert fleet.silent_for("u1", NOW + timedelta(seconds=7)) == timedelta(seconds=1)


@pytest.mark.parametrize(
    "place",
    [Location(0, 179.9999), Location(0, -179.9999), Location(89.9, 10), Location(-89.9, 10)],
)
def test_unicorns_at_the_edges_of_the_map_are_found(fleet: FleetIndex, place: Location) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(place), NOW)
    assert [entry.unicorn.unicorn_id for entry in near(fleet, place)] == ["u1"]
