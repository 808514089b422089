"""The fleet index behaves the same in Redis and in the fake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.client import Pipeline

from service.core.ports import FleetIndex
from service.model import FleetEntry, Location, Position, Trip, Unicorn, UnicornState
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import Client, RedisLink, connect
from tests.support.builders import NOW, a_unicorn
from tests.support.fakes_redis import FakeFleetIndex
from tests.support.infrastructure import RedisServer
from tests.support.service import hear_through

HERE = Location(40.7128, -74.0060)
NEAR = Location(40.7150, -74.0080)
FAR = Location(40.9000, -73.5000)
ELSEWHERE = Location(42.65, -73.75)
"""In another zone."""
LEAVING = Location(40.80, -74.0060)
"""Out of reach of here, and a drive of half a minute away at the fastest."""
STALE = timedelta(seconds=60)


@pytest.fixture(params=["fake", "redis"])
def fleet(request: pytest.FixtureRequest) -> FleetIndex:
    if request.param == "fake":
        return FakeFleetIndex(STALE)
    return RedisFleetIndex(request.getfixturevalue("link"), STALE)


def a_usable_unicorn(unicorn_id: str = "u1", **changes: object) -> Unicorn:
    return a_unicorn(unicorn_id=unicorn_id, state=UnicornState.AVAILABLE, accepting=True, **changes)


def at(location: Location, when: datetime = NOW) -> Position:
    return Position(location, when, heading=90.0, speed=4.5)


def near(fleet: FleetIndex, place: Location = HERE, now: datetime = NOW) -> list[FleetEntry]:
    return list(fleet.near([place], reach_metres=2250, per_place=16, now=now).entries)


def test_an_unknown_unicorns_position_asks_for_its_state(fleet: FleetIndex) -> None:
    sighting = fleet.record("u1", at(HERE), NOW)
    assert sighting.unicorn is None
    assert sighting.is_new_here


def test_a_known_unicorn_is_found_near_its_position(fleet: FleetIndex) -> None:
    unicorn = a_usable_unicorn()
    fleet.record("u1", at(NEAR), NOW)
    fleet.refresh(unicorn, NOW)
    assert near(fleet) == [FleetEntry(unicorn, at(NEAR))]
    assert near(fleet, FAR) == []


def test_a_unicorn_enters_once_and_again_after_silence_or_in_another_zone(
    fleet: FleetIndex,
) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    times = [NOW + timedelta(seconds=seconds) for seconds in (0, 4, 70, 74, 78)]
    places = [HERE, NEAR, NEAR, ELSEWHERE, ELSEWHERE]
    entered = [
        fleet.record("u1", at(place, time), time).is_new_here
        for place, time in zip(places, times, strict=True)
    ]
    assert entered == [True, False, True, False, True]


def test_a_stale_position_is_not_used(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(HERE), NOW)
    later = NOW + STALE + timedelta(seconds=1)
    assert near(fleet, now=later) == []
    assert fleet.position("u1", later) is None
    fleet.refresh(a_usable_unicorn(), later)
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
    fleet.refresh(on_duty.with_availability(False, NOW), NOW)
    assert [e for e in near(fleet) if e.unicorn.can_take_a_ride] == []


def test_the_nearest_are_found_first_among_many(fleet: FleetIndex) -> None:
    for n in range(40):
        fleet.refresh(a_usable_unicorn(f"u{n}"), NOW)
        fleet.record(f"u{n}", at(Location(40.7128 + n * 0.0004, -74.0060)), NOW)
    found = {entry.unicorn.unicorn_id for entry in near(fleet)}
    assert {f"u{n}" for n in range(16)} <= found


def test_no_unicorn_looks_silent_to_a_new_index(fleet: FleetIndex) -> None:
    assert fleet.presence("u1", NOW).silence == timedelta()
    assert fleet.begin_epoch(NOW)
    hear_through(fleet, NOW, NOW + timedelta(seconds=7))
    assert not fleet.begin_epoch(NOW + timedelta(seconds=5))
    assert fleet.presence("u1", NOW + timedelta(seconds=7)).silence == timedelta(seconds=7)
    fleet.record("u1", at(HERE, NOW + timedelta(seconds=6)), NOW + timedelta(seconds=6))
    assert fleet.presence("u1", NOW + timedelta(seconds=7)).silence == timedelta(seconds=1)


def test_many_positions_are_recorded_as_single_ones_are(fleet: FleetIndex) -> None:
    unicorns = [a_usable_unicorn(f"u{n}") for n in range(3)]
    fleet.refresh_all(unicorns[:2], NOW)
    fleet.record("u1", at(ELSEWHERE, NOW - timedelta(hours=1)), NOW)
    later = NOW + timedelta(seconds=4)
    seen = fleet.record_all({f"u{n}": at(HERE, later) for n in range(3)}, later)
    assert [seen[f"u{n}"].unicorn for n in range(3)] == [*unicorns[:2], None]
    assert [seen[f"u{n}"].is_new_here for n in range(3)] == [True, True, True]
    again = fleet.record_all({f"u{n}": at(NEAR, later) for n in range(3)}, later)
    assert [again[f"u{n}"].is_new_here for n in range(3)] == [False] * 3
    fleet.refresh_all(unicorns[2:], later)
    found = {entry.unicorn.unicorn_id: entry.position for entry in near(fleet, now=later)}
    assert found == dict.fromkeys(["u0", "u1", "u2"], at(HERE, later))
    assert near(fleet, FAR, later) == []


def test_recording_no_positions_returns_nothing(fleet: FleetIndex) -> None:
    assert fleet.record_all({}, NOW) == {}
    fleet.refresh_all([], NOW)


def test_a_unicorn_that_does_not_exist_is_forgotten(fleet: FleetIndex) -> None:
    fleet.record_all({"nobody": at(HERE), "u1": at(HERE)}, NOW)
    fleet.forget(["nobody"])
    assert fleet.position("nobody", NOW) is None
    assert fleet.position("u1", NOW) == at(HERE)


def row(fleet: FleetIndex, count: int) -> list[Unicorn]:
    """So many unicorns at one place; the first has waited longest, the names say nothing."""
    unicorns = [
        a_usable_unicorn(f"u{n * 7919 % 1000:03}", idle_since=NOW - timedelta(seconds=count - n))
        for n in range(count)
    ]
    fleet.refresh_all(unicorns, NOW)
    fleet.record_all({u.unicorn_id: at(HERE) for u in unicorns}, NOW)
    return unicorns


def test_the_longest_waiting_of_a_long_row_are_found(fleet: FleetIndex) -> None:
    """Though no more than sixteen are looked at for being near."""
    unicorns = row(fleet, 300)
    found = fleet.near([HERE], reach_metres=2250, per_place=16, equal_metres=100, now=NOW)
    names = {entry.unicorn.unicorn_id for entry in found.entries}
    assert {unicorn.unicorn_id for unicorn in unicorns[:16]} <= names
    assert len(names) <= 32, "more are fetched than can matter"
    assert found.truncated == {HERE}


def test_as_many_of_a_row_are_found_as_riders_stand_there(fleet: FleetIndex) -> None:
    unicorns = row(fleet, 100)
    places = [HERE] * 40
    found = fleet.near(places, reach_metres=2250, per_place=16, equal_metres=100, now=NOW)
    names = {entry.unicorn.unicorn_id for entry in found.entries}
    assert {unicorn.unicorn_id for unicorn in unicorns[:40]} <= names


def test_unicorns_a_little_farther_than_the_nearest_count_as_equally_near(
    fleet: FleetIndex,
) -> None:
    row(fleet, 20)
    for metres, seconds in ((90, 900), (150, 1000)):
        unicorn = a_usable_unicorn(f"at-{metres}", idle_since=NOW - timedelta(seconds=seconds))
        fleet.refresh(unicorn, NOW)
        fleet.record(f"at-{metres}", at(Location(HERE.latitude + metres / 111_195, -74.006)), NOW)
    found = fleet.near([HERE], reach_metres=2250, per_place=16, equal_metres=100, now=NOW)
    names = {entry.unicorn.unicorn_id for entry in found.entries}
    assert "at-90" in names
    assert "at-150" not in names


@pytest.mark.parametrize(("count", "cut"), [(15, False), (16, False), (17, True)])
def test_the_answer_says_whether_more_unicorns_are_within_reach(
    fleet: FleetIndex, count: int, cut: bool
) -> None:
    row(fleet, count)
    found = fleet.near([HERE, FAR], reach_metres=2250, per_place=16, now=NOW)
    assert len(found.entries) == min(count, 16)
    assert found.truncated == ({HERE} if cut else frozenset())


def test_places_searched_together_find_a_unicorn_at_the_edge_of_reach(fleet: FleetIndex) -> None:
    """Two riders some hundred metres apart, and a unicorn that only one of them can have."""
    fleet.refresh(a_usable_unicorn(), NOW)
    edge = Location(HERE.latitude + 2240 / 111_195, HERE.longitude)
    fleet.record("u1", at(edge), NOW)
    places = [HERE, Location(HERE.latitude - 0.0004, HERE.longitude - 0.0004)]
    for order in (places, places[::-1]):
        found = fleet.near(order, reach_metres=2250, per_place=16, now=NOW)
        assert [entry.unicorn.unicorn_id for entry in found.entries] == ["u1"]


def test_clocks_of_two_hearing_processes_may_differ(fleet: FleetIndex) -> None:
    fleet.begin_epoch(NOW)
    for number, seconds in enumerate((0, 10, 9, 20, 19, 30, 29)):
        fleet.report_hearing(f"api-{number % 2}", NOW + timedelta(seconds=seconds))
    assert fleet.presence("u1", NOW + timedelta(seconds=31)).silence == timedelta(seconds=29)


def test_a_unicorn_that_jumps_is_found_only_where_it_is(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(HERE), NOW)
    far_away = Location(45.5, -73.6)
    fleet.record("u1", at(far_away, NOW + timedelta(seconds=4)), NOW + timedelta(seconds=4))
    later = NOW + timedelta(seconds=8)
    assert fleet.record("u1", at(far_away, later), later).is_new_here
    assert near(fleet, HERE, later) == []
    assert [entry.position for entry in near(fleet, far_away, later)] == [at(far_away, later)]


def test_unicorns_that_drove_away_do_not_crowd_out_the_nearest(fleet: FleetIndex) -> None:
    for n in range(20):
        fleet.refresh(a_usable_unicorn(f"u{n}"), NOW)
        fleet.record(f"u{n}", at(HERE, NOW - timedelta(seconds=40)), NOW - timedelta(seconds=40))
        fleet.record(f"u{n}", at(LEAVING), NOW)
    fleet.refresh(a_usable_unicorn("stays"), NOW)
    fleet.record("stays", at(NEAR), NOW)
    assert [entry.unicorn.unicorn_id for entry in near(fleet)] == ["stays"]


@pytest.mark.parametrize("recorded_at", [datetime(1, 1, 1, tzinfo=UTC), NOW - STALE * 2])
def test_a_position_from_long_ago_gives_a_unicorn_no_place(
    fleet: FleetIndex, recorded_at: datetime
) -> None:
    fleet.begin_epoch(NOW - timedelta(hours=1))
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(HERE, recorded_at), NOW)
    assert near(fleet) == []
    assert fleet.position("u1", NOW) is None
    assert fleet.presence("u1", NOW).silence == timedelta()


@pytest.mark.parametrize("longitude", [179.999, -179.999])
@pytest.mark.parametrize("latitude", [0.0, 52.0, -77.0])
def test_unicorns_beyond_the_date_line_are_found(
    fleet: FleetIndex, latitude: float, longitude: float
) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(Location(latitude, -longitude)), NOW)
    found = near(fleet, Location(latitude, longitude))
    assert [entry.unicorn.unicorn_id for entry in found] == ["u1"]


@pytest.mark.parametrize(
    "place",
    [
        *(Location(latitude, 10) for latitude in (85.06, 89.9, 90, -85.06, -89.9, -90)),
        *(Location(0, longitude) for longitude in (179.9999, -179.9999, 180, -180)),
    ],
)
def test_unicorns_at_the_edges_of_the_map_are_found(fleet: FleetIndex, place: Location) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(place), NOW)
    assert [entry.unicorn.unicorn_id for entry in near(fleet, place)] == ["u1"]


def test_a_unicorn_whose_calls_are_refused_or_made_by_a_gateway_could_not_answer(
    fleet: FleetIndex,
) -> None:
    fleet.begin_epoch(NOW - timedelta(hours=1))
    since, later = NOW + timedelta(seconds=5), NOW + timedelta(seconds=20)
    hear_through(fleet, NOW, later)
    fleet.record_all({"u1": at(HERE, since)}, since)
    assert not fleet.could_answer("u1", since, later), "only a gateway speaks for it"
    fleet.hear("u1", since)
    assert fleet.could_answer("u1", since, later)
    fleet.hear("u1", later, refused=True)
    assert not fleet.could_answer("u1", since, later), "perhaps its answer was refused"
    assert fleet.presence("u1", later).silence == timedelta()
    assert not fleet.could_answer("u1", later + timedelta(seconds=1), later)


def test_a_unicorn_could_answer_if_it_was_heard_and_all_processes_heard(fleet: FleetIndex) -> None:
    fleet.begin_epoch(NOW - timedelta(hours=1))
    since, later = NOW + timedelta(seconds=5), NOW + timedelta(seconds=20)
    hear_through(fleet, NOW, later)
    assert not fleet.could_answer("u1", since, later), "never heard"
    fleet.record("u1", at(HERE), NOW)
    assert not fleet.could_answer("u1", since, later), "heard before, not since"
    fleet.record("u1", at(HERE, since), since)
    assert fleet.could_answer("u1", since, later)
    much_later = later + timedelta(seconds=60)
    assert not fleet.could_answer("u1", since, much_later), "nobody listens any more"
    hear_through(fleet, much_later, much_later + timedelta(seconds=40))
    assert not fleet.could_answer("u1", since, much_later), "listening began after a gap"
    offered, expired = much_later + timedelta(seconds=5), much_later + timedelta(seconds=20)
    fleet.record("u1", at(HERE, expired), expired)
    assert fleet.could_answer("u1", offered, expired)


def test_a_position_that_is_ignored_leaves_its_unicorn_where_it_was(fleet: FleetIndex) -> None:
    later, ever_later = NOW + timedelta(seconds=4), NOW + timedelta(seconds=8)
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(NEAR, NOW), NOW)
    fleet.record("u1", at(HERE, later), later)
    for ignored in (at(LEAVING, NOW), at(FAR, ever_later)):
        assert not fleet.record("u1", ignored, ever_later).is_new_here
    assert [entry.position for entry in near(fleet, now=ever_later)] == [at(HERE, later)]
    assert near(fleet, FAR, ever_later) == near(fleet, LEAVING, ever_later) == []


def test_a_unicorn_that_another_process_knows_to_be_busy_is_not_found(
    redis_server: RedisServer,
) -> None:
    here, there = (
        RedisFleetIndex(RedisLink(connect(redis_server.url, timeout_seconds=2)), STALE)
        for _ in range(2)
    )
    unicorn = a_usable_unicorn()
    here.refresh(unicorn, NOW)
    for seconds in (0, 4):
        later = NOW + timedelta(seconds=seconds)
        here.record("u1", at(NEAR, later), later)
    there.refresh(unicorn.reserved("ride-1", Trip(HERE, None)), later)
    after = later + timedelta(seconds=4)
    seen = here.record("u1", at(HERE, after), after).unicorn
    assert seen
    assert seen.ride_id == "ride-1"
    found = here._geo.near({HERE: 9}, 2250, 0, 9, 9, after)[0][0].unicorn_ids
    assert found == set()


def _counted(call: Callable[..., Any], calls: list[object]) -> Callable[..., Any]:
    def counted(*args: Any) -> Any:
        calls.append(args)
        return call(*args)

    return counted


@pytest.mark.parametrize("processes", [1, 2])
def test_a_position_of_a_known_unicorn_is_one_round_trip(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    indexes = [
        RedisFleetIndex(RedisLink(connect(redis_server.url, timeout_seconds=2)), STALE)
        for _ in range(processes)
    ]
    indexes[0].refresh(a_usable_unicorn(), NOW)
    calls: list[object] = []
    for kind, name in ((Pipeline, "execute"), (Client, "exchange")):
        monkeypatch.setattr(kind, name, _counted(getattr(kind, name), calls))
    for number in range(12):
        if number == 2 * processes:
            calls.clear()
        later = NOW + timedelta(seconds=2 * number)
        place = Location(HERE.latitude + number * 0.0001, HERE.longitude)
        indexes[number % processes].record("u1", at(place, later), later)
    assert len(calls) == 12 - 2 * processes
    assert [entry.position for entry in near(indexes[0], now=later)] == [at(place, later)]
