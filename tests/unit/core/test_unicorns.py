"""A unicorn takes the steps of its ride, reports positions, and waits for news."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.positions import Report, record_position, record_positions
from service.core.unicorns import (
    LocatedUnicorn,
    Step,
    UnicornAndRide,
    advance,
    set_availability,
    view,
)
from service.core.watch import Wait, wait_for_unicorn
from service.model import Location, Position, PositionProblem, RideStatus, UnicornState
from service.model.errors import IllegalTransition, RideNotFound, UnicornNotFound
from tests.support.builders import a_unicorn
from tests.support.service import PICKUP, Service

ELSEWHERE = Location(40.7228, -74.0060)
NEXT_CORNER = Location(PICKUP.latitude + 0.0005, PICKUP.longitude)
FAR_AWAY = Location(41.5, -74.0060)


def take(service: Service, ride_id: str, *steps: Step, unicorn_id: str = "u1") -> None:
    for step in steps:
        advance(service.ports, step, unicorn_id, ride_id, service.later(1))


def test_a_ride_goes_from_request_to_completion(service: Service) -> None:
    ride = service.matched()
    assert ride.status is RideStatus.MATCHED
    take(service, ride.ride_id, Step.ARRIVE, Step.START)
    assert service.stored_unicorn().state is UnicornState.ON_TRIP
    take(service, ride.ride_id, Step.COMPLETE)
    done = service.stored(ride)
    assert done.status is RideStatus.COMPLETED
    assert done.due_at is None
    assert done.version == 5
    assert ride.requested_at <= done.matched_at < done.arrived_at < done.started_at  # type: ignore[operator]
    free = service.stored_unicorn()
    assert (free.state, free.ride_id, free.trip) == (UnicornState.AVAILABLE, None, None)


def test_repeating_the_last_step_changes_nothing(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    for step in (Step.ACCEPT, Step.ARRIVE, Step.START, Step.COMPLETE):
        once = advance(service.ports, step, "u1", ride.ride_id, service.later(1))
        again = advance(service.ports, step, "u1", ride.ride_id, service.later(1))
        assert once == again


@pytest.mark.parametrize("step", [Step.ACCEPT, Step.START, Step.COMPLETE])
def test_steps_out_of_order_are_refused(service: Service, step: Step) -> None:
    ride = service.matched()
    take(service, ride.ride_id, Step.ARRIVE)
    if step is Step.START:
        take(service, ride.ride_id, Step.START, Step.COMPLETE)
    with pytest.raises(IllegalTransition):
        take(service, ride.ride_id, step)


def test_another_unicorn_cannot_touch_the_ride(service: Service) -> None:
    ride = service.matched()
    service.on_duty("u2", ELSEWHERE)
    with pytest.raises(RideNotFound):
        take(service, ride.ride_id, Step.ARRIVE, unicorn_id="u2")
    with pytest.raises(RideNotFound):
        take(service, "no-such-ride", Step.ARRIVE)


def test_a_declined_ride_goes_to_another_unicorn_and_never_back(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    take(service, ride.ride_id, Step.DECLINE)
    assert service.stored_unicorn().state is UnicornState.AVAILABLE
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED
    service.on_duty("u2", ELSEWHERE)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    assert service.stored_unicorn("u1").ride_id is None


def test_going_off_duty_during_a_ride_finishes_the_ride_first(service: Service) -> None:
    ride = service.matched()
    off = set_availability(service.ports, "u1", False, service.now)
    assert (off.state, off.accepting) == (UnicornState.RESERVED, False)
    take(service, ride.ride_id, Step.ARRIVE, Step.START, Step.COMPLETE)
    assert service.stored_unicorn().state is UnicornState.NON_OPERATIONAL


def test_a_freed_unicorn_triggers_the_waiting_rides(service: Service) -> None:
    ride = service.matched()
    waiting = service.request("rider-2")
    service.run_published_rounds()
    assert service.stored(waiting).status is RideStatus.REQUESTED
    take(service, ride.ride_id, Step.ARRIVE, Step.START, Step.COMPLETE)
    service.run_published_rounds()
    assert service.stored(waiting).status is RideStatus.MATCHED


def test_a_unicorn_that_drives_into_reach_triggers_the_waiting_rides(service: Service) -> None:
    ride = service.request()
    service.run_published_rounds()
    service.on_duty(at=Location(48.0, 11.0))
    assert service.rounds.published == []
    for _ in range(2):  # a jump waits for a second report that agrees
        service.later(4)
        service.drives_to(PICKUP)
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.MATCHED


def test_plain_positions_trigger_nothing(service: Service) -> None:
    service.on_duty(at=ELSEWHERE, unicorn_id="u1")
    service.waiting.add([service.request()])
    service.waiting.marks.clear()
    service.rounds.published.clear()
    service.later(4)
    service.drives_to(Location(40.7229, -74.0061))
    assert service.rounds.published == []


def test_a_position_of_a_forgotten_unicorn_reads_its_state_again(service: Service) -> None:
    service.on_duty()
    service.fleet.forget_state("u1")
    noted = record_position(service.ports, "u1", Position(ELSEWHERE, service.later(4)), service.now)
    assert noted.unicorn
    assert noted.unicorn.can_take_a_ride
    assert service.fleet.entries(["u1"], service.now)["u1"].unicorn == noted.unicorn


def test_a_position_of_an_unknown_unicorn_is_refused(service: Service) -> None:
    with pytest.raises(UnicornNotFound):
        service.drives_to(PICKUP, "nobody")


def test_a_jump_in_a_bulk_does_not_hide_the_position_before_it(service: Service) -> None:
    service.on_duty()
    service.later(10)
    reports = [
        Report("u1", Position(at, service.now - timedelta(seconds=age)))
        for at, age in ((NEXT_CORNER, 2), (Location(0.0, 0.0), 1))
    ]
    assert record_positions(service.ports, reports, service.now) == [None, None]
    seen = service.fleet.position("u1", service.now)
    assert seen
    assert seen.location == NEXT_CORNER


def test_a_jump_counts_if_two_reports_of_a_bulk_agree(service: Service) -> None:
    service.on_duty()
    service.later(10)
    reports = [
        Report("u1", Position(FAR_AWAY, service.now - timedelta(seconds=age))) for age in (2, 1)
    ]
    record_positions(service.ports, reports, service.now)
    seen = service.fleet.position("u1", service.now)
    assert seen
    assert seen.location == FAR_AWAY


def news(service: Service, both: UnicornAndRide) -> UnicornAndRide:
    clock = (lambda: service.now), (lambda: 0.0)
    return wait_for_unicorn(service.ports, both, lambda _: True, 1, *clock, Wait())


def test_a_wait_for_news_of_a_unicorn_returns_the_callers_unicorn(service: Service) -> None:
    unicorn = service.on_duty(account_sub="driver-1")
    assert news(service, UnicornAndRide(unicorn, None)).unicorn == unicorn


def test_a_wait_reads_once_more_when_its_time_is_up_and_then_ends(service: Service) -> None:
    both = UnicornAndRide(service.on_duty(account_sub="driver-1"), None)
    begin, too_early, end = 0.0, 0.5, 1.0
    monotonic = iter([begin, too_early, end]).__next__
    clock = (lambda: service.now), monotonic
    assert wait_for_unicorn(service.ports, both, lambda _: False, 1, *clock, Wait()) == both


def test_a_wait_for_news_of_a_unicorn_ends_if_another_account_drives_the_unicorn(
    service: Service,
) -> None:
    unicorn = service.on_duty(account_sub="driver-1")
    with pytest.raises(UnicornNotFound):
        news(service, UnicornAndRide(replace(unicorn, account_sub="driver-2"), None))


def test_a_wait_wakes_when_it_ends_or_at_once_if_it_has_ended_and_keeps_its_first_reason() -> None:
    wait, woken = Wait(), list[str]()
    wait.wake_with(lambda: woken.append("first"))
    assert woken == []
    wait.end("superseded")
    wait.end("stopped")
    assert (wait.ended_by, set(woken)) == ("superseded", {"first"})
    wait.wake_with(lambda: woken.append("second"))
    assert woken[-1] == "second"


@pytest.mark.parametrize(
    ("state", "problem", "trouble"),
    [
        (UnicornState.AVAILABLE, None, ""),
        (UnicornState.NON_CONTACTABLE, None, "non_contactable"),
        (UnicornState.NON_CONTACTABLE, PositionProblem.TOO_LONG_AGO, "recorded_too_long_ago"),
    ],
)
def test_a_unicorn_is_shown_with_its_position_problem_or_its_silence(
    state: UnicornState, problem: PositionProblem | None, trouble: str
) -> None:
    assert LocatedUnicorn(a_unicorn(state=state), None, problem).trouble == trouble


def test_a_problem_is_shown_after_a_minute_of_ignored_reports(service: Service) -> None:
    unicorn, problems = service.on_duty(), list[PositionProblem | None]()
    for seconds in (0, 59, 1):
        now = service.later(seconds)
        late = Position(PICKUP, now - timedelta(hours=1))
        assert record_position(service.ports, "u1", late, now).ignored
        problems.append(view(service.ports, unicorn, now).position_problem)
    assert problems == [None, None, PositionProblem.TOO_LONG_AGO]
