"""The transitions of a unicorn, and since when it waits for a ride."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from service.model import Trip, Unicorn, UnicornState
from service.model.errors import IllegalTransition, UnicornBusy
from tests.support.builders import BATTERY_PARK, NOW, a_unicorn, a_usable_unicorn

EARLIER = NOW - timedelta(hours=1)
TRIP = Trip(BATTERY_PARK, None)


def on_a_ride() -> Unicorn:
    return a_usable_unicorn(idle_since=EARLIER).reserved("ride-1", TRIP)


def test_a_unicorn_waits_for_its_turn_from_when_it_goes_on_duty() -> None:
    on_duty = a_unicorn(idle_since=EARLIER).with_availability(True, NOW)
    assert (on_duty.state, on_duty.idle_since) == (UnicornState.AVAILABLE, NOW)
    off_duty = on_duty.with_availability(False, NOW + timedelta(seconds=9))
    assert (off_duty.state, off_duty.idle_since) == (UnicornState.NON_OPERATIONAL, NOW)


@pytest.mark.parametrize("state", sorted(UnicornState))
@pytest.mark.parametrize("accepting", [True, False])
@pytest.mark.parametrize("ride_id", [None, "ride-1"])
def test_a_unicorn_can_take_a_ride_if_it_is_available_accepting_and_free(
    state: UnicornState, accepting: bool, ride_id: str | None
) -> None:
    unicorn = a_unicorn(state=state, accepting=accepting, ride_id=ride_id)
    expected = (state, accepting, ride_id) == (UnicornState.AVAILABLE, True, None)
    assert unicorn.can_take_a_ride == expected


def test_the_same_availability_again_changes_nothing() -> None:
    on_duty = a_usable_unicorn(idle_since=EARLIER)
    assert on_duty.with_availability(True, NOW) is on_duty


def test_a_unicorn_keeps_its_turn_when_the_ride_is_taken_from_it() -> None:
    assert on_a_ride().released("ride-1", NOW).idle_since == EARLIER


def test_a_unicorn_loses_its_turn_by_a_trip_and_by_a_refusal() -> None:
    assert on_a_ride().released("ride-1", NOW, waits_anew=True).idle_since == NOW
    assert on_a_ride().departed("ride-1", NOW).released("ride-1", NOW).idle_since == NOW


def test_a_unicorn_that_fell_silent_takes_no_more_rides() -> None:
    silent = on_a_ride().released("ride-1", NOW, keep_accepting=False)
    assert (silent.state, silent.accepting) == (UnicornState.NON_OPERATIONAL, False)


def test_a_unicorn_can_start_or_end_only_its_own_ride() -> None:
    with pytest.raises(IllegalTransition):
        on_a_ride().released("ride-2", NOW)
    with pytest.raises(IllegalTransition):
        on_a_ride().departed("ride-2", NOW)
    with pytest.raises(IllegalTransition):
        on_a_ride().departed("ride-1", NOW).departed("ride-1", NOW)


def test_a_unicorn_is_removed_for_good_and_not_while_it_has_a_ride() -> None:
    removed = a_usable_unicorn().removed()
    assert (removed.state, removed.accepting) == (UnicornState.REMOVED, False)
    assert removed.removed() is removed
    with pytest.raises(UnicornBusy):
        on_a_ride().removed()
    with pytest.raises(IllegalTransition):
        removed.with_availability(True, NOW)
    with pytest.raises(IllegalTransition):
        removed.amended({"name": "Binky"}, None, NOW)


def test_amending_makes_one_version_more_or_changes_nothing() -> None:
    unicorn = a_usable_unicorn()
    assert unicorn.amended({"name": unicorn.name}, True, NOW) is unicorn
    amended = unicorn.amended({"name": "Binky"}, False, NOW)
    assert (amended.name, amended.accepting, amended.version) == ("Binky", False, 2)


@pytest.mark.parametrize(("most", "stays"), [(0, True), (2, False), (3, False), (4, True)])
def test_a_unicorn_that_missed_too_many_offers_in_a_row_goes_off_duty(
    most: int, stays: bool
) -> None:
    """`most` is smaller than the number of missed offers if the setting was lowered."""
    unicorn = replace(on_a_ride(), missed=frozenset({"ride-8", "ride-9"}))
    after = unicorn.offer_missed("ride-1", NOW, counts=True, most=most)
    assert after.accepting == stays
    assert after.missed == (unicorn.missed | {"ride-1"} if stays else frozenset())
