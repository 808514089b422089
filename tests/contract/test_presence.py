"""How long unicorns have been silent, and where they are: the same in Redis and in the fake."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.core.ports import FleetIndex
from service.model import Location, Position, PositionProblem, SilentTogether, Trip
from service.observability.instruments import NOT_COMING
from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from tests.support.builders import NOW, a_usable_unicorn
from tests.support.fakes_redis import FakeFleetIndex
from tests.support.service import hear_through

HERE, FAR = Location(40.7128, -74.0060), Location(45.5, -73.6)
STALE = timedelta(seconds=60)
LATER = NOW + timedelta(seconds=90)


@pytest.fixture(params=["fake", "redis"])
def fleet(request: pytest.FixtureRequest) -> FleetIndex:
    """An index that remembers for an hour already."""
    found: FleetIndex
    if request.param == "fake":
        found = FakeFleetIndex(STALE)
    else:
        found = RedisFleetIndex(request.getfixturevalue("link"), STALE)
    found.begin_epoch(NOW - timedelta(hours=1))
    return found


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def at(location: Location, after: float = 0) -> Position:
    return Position(location, NOW + seconds(after))


def test_no_unicorn_is_silent_as_long_as_no_process_hears_calls(fleet: FleetIndex) -> None:
    fleet.record("u1", at(HERE), NOW)
    assert fleet.presence("u1", LATER).silence == timedelta()


def test_no_unicorn_looks_silent_while_one_process_is_deaf_though_another_hears(
    fleet: FleetIndex,
) -> None:
    fleet.record("u1", at(HERE), NOW)
    for second in range(0, 91, 3):
        fleet.report_hearing("hears", NOW + seconds(second))
        fleet.report_hearing("deaf", NOW + seconds(second), is_deaf=True)
    assert fleet.presence("u1", LATER).silence == timedelta()
    hear_through(fleet, LATER, LATER + seconds(30), "hears")


@pytest.mark.parametrize("after", [1, 14, 16, 180])
def test_no_silence_counts_after_the_last_beat_of_the_only_process(
    fleet: FleetIndex, after: float
) -> None:
    fleet.record("u1", at(HERE), NOW)
    hear_through(fleet, NOW, NOW + seconds(50))
    assert fleet.presence("u1", NOW + seconds(50 + after)).silence == seconds(50)


@pytest.mark.parametrize("after", [1, 5, 14, 15, 16, 29])
def test_no_silence_counts_after_the_last_beat_of_any_process(
    fleet: FleetIndex, after: int
) -> None:
    """Whoever vanished took some unicorns' calls along, from that instant and not from later."""
    fleet.record("u1", at(HERE), NOW)
    for second in range(51):
        fleet.report_hearing("vanishes", NOW + seconds(second))
        fleet.report_hearing("stays", NOW + seconds(second))
    for second in range(51, 51 + after):
        fleet.report_hearing("stays", NOW + seconds(second))
    assert fleet.presence("u1", NOW + seconds(50 + after)).silence <= seconds(50)


def test_a_process_that_vanished_suspends_silence_until_it_is_taken_for_dead(
    fleet: FleetIndex,
) -> None:
    fleet.report_hearing("vanishes", NOW)
    hear_through(fleet, NOW, NOW + seconds(400), "stays")
    silences = [fleet.presence("u1", NOW + seconds(400)).silence]
    assert seconds(200) < silences[0] <= seconds(230)


def test_a_quarter_of_the_stale_time_without_a_report_is_a_gap(fleet: FleetIndex) -> None:
    """The gap is 15 s if a position is stale after 60 s. After a gap, hearing begins anew."""
    fleet.record("u1", at(HERE), NOW)
    for instant in (0, 15, 30):
        fleet.report_hearing("hears", NOW + seconds(instant))
    assert fleet.presence("u1", NOW + seconds(30)).silence == seconds(30)
    fleet.report_hearing("hears", NOW + seconds(45.1))
    assert fleet.presence("u1", NOW + seconds(45.1)).silence == seconds(0)


def test_a_process_that_says_goodbye_does_not_suspend_silence(fleet: FleetIndex) -> None:
    fleet.report_hearing("stays", NOW)
    fleet.report_hearing("leaves", NOW)
    fleet.withdraw_hearing("leaves")
    hear_through(fleet, NOW, LATER, "stays")
    assert fleet.presence("u1", LATER).silence == seconds(90)


@pytest.mark.parametrize("hours", [-1, 1])
def test_after_a_jump_of_the_clock_silence_counts_anew(fleet: FleetIndex, hours: int) -> None:
    fleet.record("u1", at(HERE), NOW)
    hear_through(fleet, NOW, NOW + seconds(10))
    jumped = NOW + timedelta(hours=hours)
    hear_through(fleet, jumped, jumped + seconds(30))
    assert fleet.presence("u1", jumped + seconds(30)).silence == seconds(30)


def test_any_call_ends_the_silence_but_only_a_position_gives_a_place(fleet: FleetIndex) -> None:
    fleet.record("u1", at(HERE), NOW)
    hear_through(fleet, NOW, LATER)
    fleet.hear("u1", LATER)
    seen = fleet.presence("u1", LATER)
    assert (seen.position, seen.silence, seen.unplaced) == (None, timedelta(), seconds(90))


def test_one_jump_is_not_believed_and_the_next_position_is_kept(fleet: FleetIndex) -> None:
    for second, place in enumerate([HERE, Location(0, 0), HERE]):
        fleet.record("u1", at(place, 4 * second), NOW + seconds(4 * second))
        assert fleet.presence("u1", NOW + seconds(8)).position != at(Location(0, 0), 4)
    assert fleet.position("u1", NOW + seconds(8)) == at(HERE, 8)


def test_a_jump_is_believed_when_a_second_report_agrees(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", at(HERE), NOW)
    doubted = fleet.record("u1", at(FAR, 4), NOW + seconds(4))
    assert fleet.position("u1", NOW + seconds(4)) == at(HERE)
    believed = fleet.record("u1", at(FAR, 8), NOW + seconds(8))
    assert fleet.position("u1", NOW + seconds(8)) == at(FAR, 8)
    assert (doubted.is_new_here, believed.is_new_here) == (False, True)


def test_places_that_do_not_agree_are_not_believed(fleet: FleetIndex) -> None:
    for second, place in enumerate([HERE, FAR, Location(0, 0), Location(-40, 100)]):
        seen = fleet.record("u1", at(place, second), NOW + seconds(second))
        assert seen.problem is None
    assert fleet.position("u1", NOW + seconds(3)) == at(HERE)


def test_places_that_do_not_agree_for_a_minute_are_a_problem(fleet: FleetIndex) -> None:
    for second, place in [(0, HERE), (1, FAR), (60, Location(0, 0)), (61, Location(-40, 100))]:
        seen = fleet.record("u1", at(place, second), NOW + seconds(second))
        is_shown = fleet.presence("u1", NOW + seconds(second)).problem
        assert seen.problem is is_shown
    assert seen.problem is PositionProblem.IMPLAUSIBLE_JUMP
    assert fleet.record("u1", at(HERE, 62), NOW + seconds(62)).problem is None


def test_reports_that_were_all_ignored_for_a_minute_are_a_problem(fleet: FleetIndex) -> None:
    fleet.ignore_all({"u1": PositionProblem.TOO_LONG_AGO}, NOW)
    assert fleet.presence("u1", NOW + seconds(59)).problem is None
    fleet.ignore_all({"u1": PositionProblem.IN_THE_FUTURE}, NOW + seconds(30))
    assert fleet.presence("u1", NOW + seconds(60)).problem is PositionProblem.IN_THE_FUTURE
    fleet.record("u1", at(HERE, 61), NOW + seconds(61))
    assert fleet.presence("u1", NOW + seconds(300)).problem is None


def test_an_ignored_report_is_no_sign_of_life(fleet: FleetIndex) -> None:
    hear_through(fleet, NOW, LATER)
    fleet.ignore_all({"u1": PositionProblem.TOO_LONG_AGO}, LATER)
    assert fleet.presence("u1", LATER).silence == seconds(90)


def test_the_version_of_its_ride_stays_with_a_unicorn_until_the_ride_is_another(
    fleet: FleetIndex,
) -> None:
    busy = a_usable_unicorn().reserved("ride-1", Trip(HERE, FAR))
    fleet.refresh(busy, NOW, 2)
    fleet.refresh(busy, NOW, 4)
    fleet.refresh(busy, NOW, 3)
    fleet.refresh(busy, NOW)
    assert fleet.record("u1", at(HERE), NOW).ride_version == 4
    assert fleet.presence("u1", NOW).ride_version == 4
    fleet.refresh(busy.released("ride-1", NOW), NOW)
    assert fleet.presence("u1", NOW).ride_version is None


def rides_under_way(fleet: FleetIndex, number: int) -> None:
    for n in range(number):
        fleet.refresh(a_usable_unicorn(unicorn_id=f"u{n}").reserved(f"r{n}", Trip(HERE, FAR)), NOW)
        fleet.record(f"u{n}", at(HERE), NOW)


def test_a_whole_fleet_that_falls_silent_together_is_an_outage(fleet: FleetIndex) -> None:
    rides_under_way(fleet, 12)
    hear_through(fleet, NOW, LATER)
    found = fleet.silent_together("u0", LATER)
    assert (found, found.is_outage) == (SilentTogether(12, 12), True)


@pytest.mark.parametrize(("silent", "assigned"), [(1, 1), (2, 2), (2, 12), (3, 40)])
def test_a_few_silent_unicorns_are_no_outage(fleet: FleetIndex, silent: int, assigned: int) -> None:
    rides_under_way(fleet, assigned)
    for n in range(silent, assigned):
        fleet.hear(f"u{n}", LATER)
    hear_through(fleet, NOW, LATER)
    found = fleet.silent_together("u0", LATER)
    assert (found, found.is_outage) == (SilentTogether(silent, assigned), False)


def test_a_late_write_does_not_count_a_free_unicorn_as_one_with_a_ride(fleet: FleetIndex) -> None:
    rides_under_way(fleet, 3)
    had_a_ride = a_usable_unicorn(unicorn_id="free").reserved("r", Trip(HERE, FAR))
    fleet.refresh(had_a_ride.released("r", NOW), NOW)
    fleet.refresh(had_a_ride, NOW)
    assert fleet.silent_together("u0", NOW).assigned == 3


def test_unicorns_that_fall_silent_one_after_the_other_are_no_outage(fleet: FleetIndex) -> None:
    rides_under_way(fleet, 6)
    late = NOW + seconds(500)
    for n in range(6):
        fleet.hear(f"u{n}", NOW + seconds(60 * n))
    hear_through(fleet, NOW, late)
    assert not fleet.silent_together("u0", late).is_outage


def north(metres: float, after: float) -> Position:
    return at(Location(HERE.latitude + metres / 111_195, HERE.longitude), after)


def record(fleet: FleetIndex, *positions: Position) -> None:
    for each in positions:
        fleet.record("u1", each, each.recorded_at)


def test_a_trail_is_the_last_three_places_that_are_some_way_apart(fleet: FleetIndex) -> None:
    places = [north(metres, after) for after, metres in enumerate((0, 49, 51, 99, 90, 120, 180))]
    record(fleet, *places)
    assert fleet.presence("u1", NOW).trail == (places[2], places[5], places[6])


def test_a_unicorn_that_stands_still_keeps_its_trail(fleet: FleetIndex) -> None:
    way = [north(metres, 10 * number) for number, metres in enumerate((0, 100, 200))]
    record(fleet, *way, *(north(200 + number % 9, 30 + number) for number in range(100)))
    assert fleet.presence("u1", LATER).trail == tuple(way)


def test_a_trail_has_no_implausible_jump_and_no_older_place(fleet: FleetIndex) -> None:
    way = [north(0, 0), north(100, 10)]
    record(fleet, *way, at(FAR, 11), north(300, 5))
    assert fleet.presence("u1", NOW).trail == tuple(way)


def test_a_gateway_that_speaks_for_unicorns_makes_trails_too(fleet: FleetIndex) -> None:
    for each in (north(0, 0), north(100, 10)):
        fleet.record_all({"u1": each}, each.recorded_at)
    assert fleet.presence("u1", NOW).trail == (north(0, 0), north(100, 10))
    fleet.forget(["u1"])
    assert fleet.presence("u1", NOW).trail == ()


@pytest.mark.parametrize(("assigned", "most"), [(0, 1), (39, 1), (40, 2), (100, 5)])
def test_one_ride_in_twenty_is_taken_back_in_any_minute(
    fleet: FleetIndex, assigned: int, most: int
) -> None:
    unicorns = [a_usable_unicorn(unicorn_id=f"u{number}") for number in range(assigned)]
    fleet.refresh_all([u.reserved(f"ride-{u.unicorn_id}", Trip(HERE, None)) for u in unicorns], NOW)

    def allowed(second: float) -> int:
        names = [f"ride-{number}-{second}" for number in range(10)]
        return sum(fleet.may_take_back(name, "u", NOW + seconds(second)) for name in names)

    held_back = NOT_COMING.labels("held_back")._value
    before = held_back.get()
    assert [allowed(0), allowed(30), allowed(59), allowed(60), allowed(61)] == [most, 0, 0, most, 0]
    if isinstance(fleet, RedisFleetIndex):
        assert held_back.get() - before == 50 - 2 * most


def test_a_ride_may_be_taken_back_repeatedly_but_from_one_unicorn(fleet: FleetIndex) -> None:
    assert [fleet.may_take_back("ride-1", "u1", NOW) for _ in range(3)] == [True] * 3
    assert not fleet.may_take_back("ride-1", "u2", NOW)


def on_the_way(fleet: FleetIndex, ride_id: str) -> None:
    unicorn = a_usable_unicorn(version=len(ride_id))
    fleet.refresh(unicorn.reserved(ride_id, Trip(north(0, 0).location, None)), NOW)


def test_the_first_position_at_the_pickup_is_when_it_was_reached(fleet: FleetIndex) -> None:
    on_the_way(fleet, "ride-1")
    for metres, seconds in ((400, 0), (51, 40), (49, 50), (0, 60), (30, 70)):
        fleet.record("u1", north(metres, seconds), LATER)
    assert fleet.reached("u1", "ride-1") == north(49, 50).recorded_at
    assert fleet.reached("u1", "ride-2") is None
    assert fleet.reached("u2", "ride-1") is None


def test_each_ride_has_its_own_instant_at_its_pickup(fleet: FleetIndex) -> None:
    on_the_way(fleet, "ride-1")
    fleet.record("u1", north(10, 0), LATER)
    on_the_way(fleet, "the-next-ride")
    assert fleet.reached("u1", "the-next-ride") is None
    fleet.record_all({"u1": north(20, 10)}, LATER)
    assert fleet.reached("u1", "the-next-ride") == north(20, 10).recorded_at
    assert fleet.reached("u1", "ride-1") is None


def test_a_unicorn_without_a_ride_reaches_no_pickup(fleet: FleetIndex) -> None:
    fleet.refresh(a_usable_unicorn(), NOW)
    fleet.record("u1", north(0, 0), LATER)
    assert fleet.reached("u1", "") is None


@pytest.mark.parametrize(
    "facts",
    [
        {"problem": "a problem of another release", "problem_since": "0"},
        {"problem": "implausible_jump", "problem_since": "yesterday"},
        {"problem": "implausible_jump", "problem_since": "9" * 30},
        {"ride": "nonsense"},
        {"placed": "9" * 30},
    ],
)
def test_unreadable_fields_of_a_unicorn_do_not_hide_its_silence(
    link: RedisLink, facts: dict[str, str]
) -> None:
    fleet = RedisFleetIndex(link, STALE)
    fleet.begin_epoch(NOW - timedelta(hours=1))
    hear_through(fleet, NOW - seconds(60), LATER)
    fleet.hear("u1", NOW)
    link.client.hset(keys.unicorn("u1"), mapping=facts)
    seen = fleet.presence("u1", LATER)
    assert seen.silence > STALE
    assert (seen.problem, seen.ride_version) == (None, None)
