"""A unicorn that drives away or reports no position loses its ride to one that is nearer."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.views import staff_ride_view
from service.core.coming import is_better, is_not_coming, most_taken_back
from service.core.sweep import sweep
from service.core.unicorns import Step
from service.core.watch import live_view
from service.model import Location, Ride, RideStatus
from tests.support.service import PICKUP, Service

START = Location(PICKUP.latitude + 0.002, PICKUP.longitude)
METRES = 1 / 111_195
"""One metre in degrees of latitude."""


def north(metres: float) -> Location:
    return Location(PICKUP.latitude + metres * METRES, PICKUP.longitude)


def goes_on(service: Service, seconds: int, *standing: str) -> None:
    """These unicorns report from the pickup; sweeps and rounds run every five seconds."""
    for _ in range(0, seconds, 5):
        service.later(5)
        for unicorn_id in standing:
            service.drives_to(PICKUP, unicorn_id)
        sweep(service.ports, service.now)
        service.run_published_rounds()


def drives_away(service: Service, seconds: int, *standing: str, start: float = 222.0) -> None:
    """u1 drives north at 15 m/s."""
    for second in range(5, seconds + 1, 5):
        service.drives_to(north(start + 15 * second))
        goes_on(service, 5, *standing)


def test_a_ride_whose_unicorn_drives_away_goes_to_the_one_that_stands_at_the_pickup(
    service: Service,
) -> None:
    ride = service.matched(at=START)
    service.on_duty("u2")
    drives_away(service, 300, "u2")
    stored = service.stored(ride)
    assert (stored.status, stored.unicorn_id) == (RideStatus.MATCHED, "u2")
    assert (stored.excluded, stored.not_coming) == ({"u1"}, {"u1"})
    assert service.stored_unicorn("u1").can_take_a_ride
    live = live_view(service.ports, service.ports.pickup_etas, stored, service.now)
    assert live.pickup_eta_seconds is not None
    assert live.pickup_eta_seconds < 60


def test_a_unicorn_that_drove_away_and_now_stands_still_is_not_coming(service: Service) -> None:
    ride = service.matched(at=START)
    drives_away(service, 200)
    service.on_duty("u2")
    for _ in range(14):
        service.drives_to(north(3222))
        goes_on(service, 5, "u2")
    assert service.stored(ride).unicorn_id == "u2"


def test_a_unicorn_that_is_not_coming_keeps_its_ride_and_staff_is_told_while_no_other_is_better(
    service: Service,
) -> None:
    ride = service.matched(at=START)
    drives_away(service, 300)
    stored = service.stored(ride)
    assert (stored.unicorn_id, stored.version) == ("u1", ride.version)
    assert staff_ride_view(stored).attention == "not_coming"
    service.on_duty("u2")
    service.drives_to(north(4700))
    goes_on(service, 20, "u2")
    assert service.stored(ride).unicorn_id == "u2"
    assert staff_ride_view(service.stored(ride)).attention is None


def test_a_ride_needs_no_attention_once_its_unicorn_comes_again(service: Service) -> None:
    ride = service.matched(at=START)
    drives_away(service, 300)
    for metres in range(4600, 0, -100):
        service.drives_to(north(metres))
        goes_on(service, 5)
    stored = service.stored(ride)
    assert (stored.unicorn_id, stored.attention, stored.not_coming) == ("u1", None, frozenset())


def test_a_ride_needs_attention_until_its_unicorn_that_turned_is_near_enough(
    service: Service,
) -> None:
    ride = service.matched(at=START)
    drives_away(service, 300)
    for metres in range(4600, 3000, -100):
        service.drives_to(north(metres))
        goes_on(service, 5)
        stored = service.stored(ride)
        assert stored.attention == "not_coming"
        assert stored.due_at
        assert stored.due_at <= service.now + timedelta(seconds=15)


def goes_1200_metres_away(service: Service, other: Location) -> None:
    """u1 then needs 256 s, and its rider was told 47 s; u2 is at the other place."""
    for second in range(5, 306, 5):
        service.drives_to(north(min(1200, 222 + 15 * second)))
        service.drives_to(other, "u2")
        goes_on(service, 5)


@pytest.mark.parametrize(("metres", "unicorn_id"), [(650, "u1"), (625, "u2")])
def test_a_ride_changes_its_unicorn_only_for_one_that_is_two_minutes_nearer(
    service: Service, metres: float, unicorn_id: str
) -> None:
    ride = service.matched(at=START)
    service.on_duty("u2", at=north(metres))
    goes_1200_metres_away(service, north(metres))
    assert service.stored(ride).unicorn_id == unicorn_id


def test_a_unicorn_that_no_round_would_send_is_not_better(service: Service) -> None:
    rules = replace(service.ports.rules, max_pickup_eta=timedelta(seconds=60))
    service.ports = replace(service.ports, rules=rules)
    ride = service.matched(at=START)
    service.on_duty("u2", at=north(500))
    goes_1200_metres_away(service, north(500))
    assert service.stored(ride).unicorn_id == "u1"


def test_a_unicorn_that_is_excluded_from_the_ride_is_not_better(service: Service) -> None:
    ride = service.matched(at=START)
    service.rides.put(replace(service.stored(ride), excluded=frozenset({"u2"})))
    service.on_duty("u2")
    goes_1200_metres_away(service, PICKUP)
    assert service.stored(ride).unicorn_id == "u1"


def test_a_unicorn_that_has_a_ride_is_not_better(service: Service) -> None:
    ride = service.matched(at=START)
    service.on_duty("u2")
    service.request("rider-2", dropoff=PICKUP)
    goes_1200_metres_away(service, PICKUP)
    assert service.stored_unicorn("u2").ride_id
    assert service.stored(ride).unicorn_id == "u1"


def test_a_unicorn_that_drove_away_and_then_falls_silent_loses_the_ride_for_its_silence(
    service: Service,
) -> None:
    ride = service.matched(at=START)
    drives_away(service, 300)
    assert service.stored(ride).attention
    goes_on(service, 90)
    back = service.stored(ride)
    assert (back.status, back.excluded, back.not_coming) == (
        RideStatus.REQUESTED,
        {"u1"},
        frozenset(),
    )
    assert not service.stored_unicorn("u1").accepting


def test_a_detour_is_not_taken_for_driving_away(service: Service) -> None:
    ride = service.matched(at=START)
    service.on_duty("u2")
    drives_away(service, 20, "u2")
    for _ in range(40):
        service.drives_to(north(522))
        goes_on(service, 5, "u2")
    assert service.stored(ride).unicorn_id == "u1"
    assert service.stored(ride).attention is None


def test_places_from_before_the_match_do_not_count_as_driving_away(service: Service) -> None:
    service.on_duty(at=START)
    for metres in (500, 1000, 1500):
        service.later(10)
        service.drives_to(north(metres))
    ride = service.request()
    service.run_published_rounds()
    told = service.stored(ride).pickup_eta_seconds
    service.rides.put(replace(service.stored(ride), pickup_eta_seconds=0))
    service.on_duty("u2")
    goes_on(service, 30, "u2")
    assert told
    assert service.stored(ride).unicorn_id == "u1"


def polls(service: Service, ride: Ride, seconds: int, *standing: str) -> None:
    for _ in range(0, seconds, 5):
        service.fleet.hear(ride.unicorn_id or "", service.now)
        goes_on(service, 5, *standing)


@pytest.mark.parametrize(("seconds", "taken"), [(175, False), (270, True)])
def test_a_unicorn_that_only_polls_loses_its_ride_after_three_minutes(
    service: Service, seconds: int, taken: bool
) -> None:
    service.fleet.begin_epoch(service.now - timedelta(hours=1))
    ride = service.matched(at=START)
    service.on_duty("u2")
    polls(service, ride, seconds, "u2")
    assert service.stored(ride).unicorn_id == ("u2" if taken else "u1")
    assert service.stored_unicorn("u1").accepting


def test_a_unicorn_at_the_pickup_waits_for_its_rider_without_a_place(service: Service) -> None:
    ride = service.matched()
    service.takes(ride, Step.ARRIVE)
    service.on_duty("u2")
    polls(service, ride, 300, "u2")
    assert service.stored(ride).unicorn_id == "u1"


def test_no_ride_is_taken_back_in_a_paused_zone(service: Service) -> None:
    ride = service.matched(at=START)
    service.on_duty("u2")
    service.control.set_paused(ride.zone, True)
    drives_away(service, 300, "u2")
    assert service.stored(ride).unicorn_id == "u1"
    assert service.stored(ride).attention == "not_coming"


def test_a_model_that_is_wrong_about_all_unicorns_moves_one_ride_a_minute(service: Service) -> None:
    rides = []
    for number in range(10):
        service.on_duty(f"u{number}", at=START)
        rides.append(service.request(f"rider-{number}"))
        service.run_published_rounds()
    for number in range(10):
        service.on_duty(f"free-{number}")
    spares = [f"free-{number}" for number in range(10)]
    for second in range(5, 245, 5):
        for number in range(10):
            service.drives_to(north(222 + 15 * second), f"u{number}")
        goes_on(service, 5, *spares)
    moved = [ride for ride in map(service.stored, rides) if "free" in (ride.unicorn_id or "")]
    assert 1 <= len(moved) <= 3
    left = [ride for ride in map(service.stored, rides) if ride not in moved]
    assert {ride.attention for ride in left} == {"not_coming"}


SECONDS = st.floats(0, 10_000)
WAYS = st.lists(SECONDS, max_size=5)


@given(told=SECONDS, left=SECONDS, way=WAYS, was_not_coming=st.booleans())
def test_a_unicorn_is_not_coming_if_it_drove_away_and_needs_far_longer_than_told(
    told: float, left: float, way: list[float], was_not_coming: bool
) -> None:
    drove_away = len(way) >= 3 and all(a < b for a, b in pairwise(way[-3:]))
    far_longer = left - told > told and left - told > 180
    assert is_not_coming(told, left, way, was_not_coming=was_not_coming) == (
        far_longer and (drove_away or was_not_coming)
    )


@given(told=SECONDS, left=SECONDS, more=SECONDS, way=WAYS)
def test_a_unicorn_that_is_farther_away_is_judged_no_better(
    told: float, left: float, more: float, way: list[float]
) -> None:
    assert is_not_coming(told, left, way) <= is_not_coming(told, left + more, way)


def test_a_short_drive_may_take_three_minutes_more_and_a_long_one_twice_as_long() -> None:
    away = [100.0, 200.0, 300.0]
    assert [is_not_coming(47, left, away) for left in (227, 228)] == [False, True]
    assert [is_not_coming(400, left, away) for left in (800, 801)] == [False, True]


def test_another_unicorn_is_better_if_it_saves_two_minutes() -> None:
    assert [is_better(other, 200) for other in (80, 81)] == [True, False]
    assert is_better(480, math.inf)


@given(assigned=st.integers(0, 100_000))
def test_at_most_one_ride_in_twenty_is_taken_back_and_always_one(assigned: int) -> None:
    assert most_taken_back(assigned) == max(1, assigned * 5 // 100)
