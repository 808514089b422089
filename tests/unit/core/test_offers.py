"""Offers that are missed, answered too late or twice, or end because the unicorn goes off duty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest

from service.api.views import DrivenRideView
from service.core import staff
from service.core.rides import cancel_ride
from service.core.sweep import sweep
from service.core.unicorns import Step, set_availability
from service.model import Location, Ride, RideStatus, Unicorn
from service.model.errors import (
    AccountTaken,
    IllegalTransition,
    RideNotFound,
    StaleVersion,
    Unavailable,
)
from tests.support.service import PICKUP, Service

FARTHER = Location(PICKUP.latitude + 0.004, PICKUP.longitude)
OFFER_SECONDS = 15


@pytest.fixture(autouse=True)
def an_epoch_long_ago(service: Service) -> None:
    service.fleet.begin_epoch(service.now - timedelta(hours=1))
    service.fleet.report_hearing("api-1", service.now)


def offered(service: Service, rider: str = "rider-1") -> Ride:
    ride = service.request(rider)
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.OFFERED
    return service.stored(ride)


def expires(service: Service, *heard: str, listened: bool = True) -> None:
    """The offer expires without an answer, while the unicorns in `heard` send their positions."""
    for _ in range(OFFER_SECONDS):
        service.later(1)
        for name in heard:
            at = service.fleet.position(name, service.now)
            assert at
            service.drives_to(at.location, name)
        service.fleet.report_hearing("api-1", service.now, is_deaf=not listened)
    sweep(service.ports, service.now)
    service.waiting.marks.clear()
    service.run_published_rounds()


def misses(service: Service, number: int, **options: bool) -> Unicorn:
    """A rider requests a ride, u1 is heard but misses the offer, and the rider cancels."""
    ride = offered(service, f"rider-{number}")
    expires(service, "u1", **options)
    cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)
    return service.stored_unicorn()


def test_a_unicorn_that_misses_three_offers_in_a_row_is_put_off_duty_and_told(
    service: Service,
) -> None:
    service.on_duty(auto_accept=False)
    assert misses(service, 1).accepting
    assert misses(service, 2).accepting
    service.changes.announced.clear()
    assert not misses(service, 3).accepting
    assert "unicorn:u1" in service.changes.announced
    set_availability(service.ports, "u1", True, service.now)
    assert misses(service, 4).accepting, "it begins anew"


def test_the_bound_is_a_setting_and_can_be_off(service: Service) -> None:
    for most, expected in ((1, False), (0, True)):
        service.ports = replace(
            service.ports, rules=replace(service.ports.rules, offers_missed_max=most)
        )
        service.on_duty(f"u{most}", auto_accept=False)
        ride = offered(service, f"rider-{most}")
        for _ in range(4):
            expires(service, f"u{most}")
        assert service.stored_unicorn(f"u{most}").accepting is expected
        cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)
        set_availability(service.ports, f"u{most}", False, service.now)


def test_offers_of_one_ride_count_once(service: Service) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    for _ in range(5):
        expires(service, "u1")
    assert service.stored(ride).status is RideStatus.OFFERED
    assert service.stored_unicorn().accepting


@pytest.mark.parametrize("step", [Step.ACCEPT, Step.DECLINE])
def test_an_answer_ends_the_streak_of_missed_offers(service: Service, step: Step) -> None:
    service.on_duty(auto_accept=False)
    for number in (1, 2):
        misses(service, number)
    ride = offered(service, "rider-3")
    service.takes(ride, step)
    cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)
    assert misses(service, 4).accepting


def test_a_riders_cancel_leaves_the_streak_of_missed_offers_as_it_is(service: Service) -> None:
    service.on_duty(auto_accept=False)
    for number in (1, 2):
        misses(service, number)
    ride = offered(service, "rider-3")
    service.later(OFFER_SECONDS - 1)
    service.drives_to(PICKUP)
    cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)
    assert service.stored_unicorn().accepting
    assert not misses(service, 4).accepting


def test_an_offer_missed_while_the_drivers_calls_are_refused_does_not_count(
    service: Service,
) -> None:
    service.on_duty(auto_accept=False)
    for number in range(4):
        ride = offered(service, f"rider-{number}")
        service.fleet.hear("u1", service.now, refused=True)
        expires(service, "u1")
        cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)
        assert service.stored_unicorn().accepting


def test_offers_missed_while_no_process_could_hear_do_not_count(service: Service) -> None:
    """If the unicorn is silent or the API is deaf, nobody knows whether a driver is there."""
    service.on_duty(auto_accept=False)
    for number in range(4):
        assert misses(service, number, listened=False).accepting
    for number in range(4, 8):
        service.drives_to(PICKUP)
        service.later(1)
        ride = offered(service, f"rider-{number}")
        expires(service)
        cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)
        assert service.stored_unicorn().accepting


def test_a_unicorn_that_never_answers_keeps_three_riders_waiting_and_no_fourth(
    service: Service,
) -> None:
    service.on_duty("u1", auto_accept=False)
    service.on_duty("u2", FARTHER)
    for number in range(4):
        ride = service.request(f"rider-{number}")
        service.run_published_rounds()
        if number < 3:
            assert service.stored(ride).unicorn_id == "u1"
            expires(service, "u1", "u2")
        assert service.stored(ride).unicorn_id == "u2"
        service.later(4)
        service.drives_to(ride.pickup, "u2")
        service.later(4)
        service.takes(ride, Step.ARRIVE, Step.START, Step.COMPLETE, unicorn_id="u2")
        service.drives_to(FARTHER, "u2")


def test_a_missed_offer_is_made_again_to_the_only_unicorn_in_reach(service: Service) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    expires(service, "u1")
    again = service.stored(ride)
    assert (again.status, again.unicorn_id) == (RideStatus.OFFERED, "u1")
    service.takes(ride, Step.ACCEPT)
    assert service.stored(ride).status is RideStatus.MATCHED


def test_a_missed_offer_goes_to_another_unicorn_in_reach_however_far(service: Service) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    service.on_duty("u2", FARTHER)
    expires(service, "u1", "u2")
    assert service.stored(ride).unicorn_id == "u2"


def test_a_declined_offer_is_never_made_again(service: Service) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    expires(service, "u1")
    service.takes(ride, Step.DECLINE)
    service.waiting.marks.clear()
    service.dispatcher.run(ride.zone, "")
    assert service.stored(ride).status is RideStatus.REQUESTED


def test_offers_to_a_unicorn_that_never_answers_end_at_the_deadline_of_the_ride(
    service: Service,
) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    while service.now < ride.deadline_at + timedelta(seconds=20):
        expires(service, "u1")
    assert service.stored(ride).status is RideStatus.UNMATCHED


def go_off_duty(service: Service, name: str) -> Unicorn:
    return set_availability(service.ports, name, False, service.now)


def amend_off_duty(service: Service, name: str) -> Unicorn:
    new = {"name": "Rocinante"}
    return staff.amend(service.ports, name, new, False, service.now, lambda _: True)


@pytest.mark.parametrize("leave", [go_off_duty, amend_off_duty])
def test_going_off_duty_with_an_open_offer_declines_it(
    service: Service, leave: Callable[[Service, str], Unicorn]
) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    service.on_duty("u2", FARTHER)
    unicorn = leave(service, "u1")
    assert (unicorn.accepting, unicorn.ride_id) == (False, None)
    assert unicorn == service.stored_unicorn()
    service.waiting.marks.clear()
    service.dispatcher.run(ride.zone, "")
    assert service.stored(ride).unicorn_id == "u2", "the rider waits for an offer nobody answers"
    assert "u1" in service.stored(ride).excluded
    assert not leave(service, "u1").accepting, "repeated, it changes nothing"
    set_availability(service.ports, "u1", True, service.now)
    assert service.stored_unicorn().can_take_a_ride


@pytest.mark.parametrize("failure", [Unavailable, ValueError])
def test_an_offer_ends_in_time_although_the_sweep_fails_on_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    service.on_duty("u1", auto_accept=False)
    ride = offered(service)
    service.later(OFFER_SECONDS)
    with monkeypatch.context() as patch:
        patch.setattr(service.ports.assignments, "commit", Mock(side_effect=failure("no")))
        sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.OFFERED
    with pytest.raises(IllegalTransition):
        service.takes(ride, Step.ACCEPT)
    service.later(4)
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.REQUESTED


def test_an_offer_of_the_previous_release_does_not_end_with_an_earlier_one_of_this_release(
    service: Service,
) -> None:
    service.on_duty(auto_accept=False)
    first = offered(service)
    returned = first.offer_missed(service.now, timedelta(minutes=3))
    ends_at = service.now + timedelta(seconds=60)
    # The previous release writes neither the field nor that it is gone.
    again = replace(returned, status=RideStatus.OFFERED, unicorn=first.unicorn, due_at=ends_at)
    assert again.offer_ends_at == ends_at


def test_going_off_duty_with_an_open_offer_fails_at_another_version_of_the_unicorn(
    service: Service,
) -> None:
    service.on_duty(auto_accept=False)
    ride = offered(service)
    with pytest.raises(StaleVersion):
        staff.amend(service.ports, "u1", {}, False, service.now, lambda version: version == 1)
    assert service.stored(ride) == ride


def test_a_change_that_is_refused_declines_no_offer(service: Service) -> None:
    """A refused change leaves no audit line, so it must have changed nothing."""
    service.on_duty(auto_accept=False)
    ride = offered(service)
    service.on_duty("u2", FARTHER, account_sub="driver-2")
    new = {"account_sub": "driver-2"}
    with pytest.raises(AccountTaken):
        staff.amend(service.ports, "u1", new, False, service.now, lambda _: True)
    assert service.stored(ride) == ride
    assert service.stored_unicorn("u1").accepting


def test_a_repeated_decline_shows_the_ride_as_the_decline_left_it(service: Service) -> None:
    """A unicorn that declined a ride must not see who has it now, or how it ends."""
    service.on_duty("u1", auto_accept=False)
    ride = offered(service)
    service.on_duty("u2", FARTHER)
    declined = service.takes(ride, Step.DECLINE)
    assert (declined.status, declined.version) == (RideStatus.REQUESTED, ride.version + 1)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    service.later(4)
    service.drives_to(ride.pickup, "u2")
    for step in (Step.ARRIVE, Step.START, Step.COMPLETE):
        again = service.takes(ride, Step.DECLINE)
        assert DrivenRideView.of(again) == DrivenRideView.of(declined)
        service.takes(ride, step, unicorn_id="u2")
    again = service.takes(ride, Step.DECLINE)
    assert DrivenRideView.of(again) == DrivenRideView.of(declined)


def test_two_unicorns_that_declined_each_see_the_ride_as_they_left_it(service: Service) -> None:
    service.on_duty("u1", auto_accept=False)
    ride = offered(service)
    service.on_duty("u2", FARTHER, auto_accept=False)
    first = service.takes(ride, Step.DECLINE)
    service.run_published_rounds()
    second = service.takes(ride, Step.DECLINE, unicorn_id="u2")
    assert second.version == first.version + 2
    for name, left in (("u1", first), ("u2", second)):
        assert service.takes(ride, Step.DECLINE, unicorn_id=name).version == (left.version)


def test_only_the_unicorn_that_declined_may_repeat_the_decline(service: Service) -> None:
    service.on_duty("u1", auto_accept=False)
    service.on_duty("u3", Location(45.0, -73.0))
    ride = offered(service)
    service.on_duty("u2", FARTHER)
    staff.reassign_ride(service.ports, ride.ride_id, service.now)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    for name in ("u1", "u3"):
        with pytest.raises(RideNotFound):
            service.takes(ride, Step.DECLINE, unicorn_id=name)
    service.later(4)
    service.drives_to(ride.pickup, "u2")
    service.takes(ride, Step.ARRIVE, Step.START, unicorn_id="u2")
    with pytest.raises(IllegalTransition):
        service.takes(ride, Step.DECLINE, unicorn_id="u2")


@pytest.mark.parametrize("step", [Step.ACCEPT, Step.DECLINE])
def test_a_late_answer_to_a_missed_offer_is_not_found(service: Service, step: Step) -> None:
    service.on_duty("u1", auto_accept=False)
    ride = offered(service)
    service.on_duty("u2", FARTHER)
    expires(service, "u1", "u2")
    with pytest.raises(RideNotFound):
        service.takes(ride, step)
