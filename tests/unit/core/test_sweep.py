"""The sweep finds every open ride that somebody forgot."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.core.sweep import sweep
from service.core.unicorns import Step, advance
from service.model import (
    CanceledBy,
    Pairing,
    RideStatus,
    UnicornState,
)
from tests.unit.core.conftest import PICKUP, Service


def run(service: Service, after_seconds: float) -> None:
    service.later(after_seconds)
    sweep(service.ports, service.now)
    service.run_published_rounds()


@pytest.fixture(autouse=True)
def an_epoch_long_ago(service: Service) -> None:
    service.fleet.begin_epoch(service.now)


def forget_everything(service: Service) -> None:
    service.rounds.published.clear()
    service.waiting.rides.clear()
    service.waiting.marks.clear()


def test_a_ride_whose_job_was_lost_is_matched_after_the_grace(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    forget_everything(service)
    run(service, 1)
    assert service.stored(ride).status is RideStatus.REQUESTED
    run(service, 2)
    assert service.stored(ride).status is RideStatus.MATCHED


def test_a_ride_nobody_can_take_is_tried_again_until_its_deadline(service: Service) -> None:
    ride = service.request()
    for _ in range(59):
        run(service, 3)
    assert service.stored(ride).status is RideStatus.REQUESTED
    run(service, 5)
    ended = service.stored(ride)
    assert (ended.status, ended.due_at) == (RideStatus.UNMATCHED, None)


def test_the_last_try_is_at_the_deadline_and_not_after(service: Service) -> None:
    ride = service.request()
    service.now = ride.deadline_at - timedelta(seconds=0.5)
    sweep(service.ports, service.now)
    assert service.stored(ride).due_at == ride.deadline_at


def test_a_ride_with_a_plan_outlives_its_deadline(service: Service) -> None:
    ride = service.request()
    service.later(200)
    service.waiting.plans[ride.zone] = {ride.ride_id: Pairing(ride.ride_id, "u1", 60, 500)}
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.REQUESTED
    service.waiting.plans.clear()
    run(service, 5)
    assert service.stored(ride).status is RideStatus.UNMATCHED


def test_an_expired_offer_frees_both_sides_for_others(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    run(service, 14)
    assert service.stored(ride).status is RideStatus.OFFERED
    run(service, 2)
    back = service.stored(ride)
    assert back.status is RideStatus.REQUESTED
    assert back.excluded == {"u1"}
    assert back.deadline_at == ride.deadline_at
    assert service.stored_unicorn().state is UnicornState.AVAILABLE


def test_a_silent_unicorn_loses_its_ride_and_takes_no_more(service: Service) -> None:
    ride = service.matched()
    for _ in range(4):
        run(service, 15)
    assert service.stored(ride).status is RideStatus.MATCHED
    run(service, 16)
    back = service.stored(ride)
    assert back.status is RideStatus.REQUESTED
    assert back.deadline_at > ride.deadline_at
    unicorn = service.stored_unicorn()
    assert (unicorn.state, unicorn.accepting) == (UnicornState.NON_OPERATIONAL, False)


def test_a_unicorn_that_keeps_sending_keeps_its_ride(service: Service) -> None:
    ride = service.matched()
    for _ in range(20):
        service.drives_to(PICKUP)
        run(service, 15)
    assert service.stored(ride).status is RideStatus.MATCHED


def test_a_ride_under_way_costs_one_look_a_minute_before_and_none_during_the_trip(
    service: Service,
) -> None:
    def looks(seconds: int) -> int:
        seen = set()
        for _ in range(seconds // 4):
            service.drives_to(PICKUP)
            run(service, 4)
            seen.add(service.stored(ride).due_at)
        return len(seen)

    ride = service.matched()
    assert looks(580) <= 11
    for step in (Step.ARRIVE, Step.START):
        advance(service.ports, step, "u1", ride.ride_id, service.now)
    assert looks(1200) <= 2


def test_a_rider_who_does_not_show_up_is_canceled(service: Service) -> None:
    ride = service.matched()
    advance(service.ports, Step.ARRIVE, "u1", ride.ride_id, service.now)
    for _ in range(42):
        service.drives_to(PICKUP)
        run(service, 15)
    ended = service.stored(ride)
    assert (ended.status, ended.canceled_by) == (RideStatus.CANCELED, CanceledBy.SYSTEM)
    assert ended.cancel_reason == "no_show"
    assert service.stored_unicorn().state is UnicornState.AVAILABLE


def test_a_unicorn_lost_in_progress_ends_the_ride_after_half_an_hour(service: Service) -> None:
    ride = service.matched()
    for step in (Step.ARRIVE, Step.START):
        advance(service.ports, step, "u1", ride.ride_id, service.now)
    for _ in range(29):
        run(service, 60)
    assert service.stored(ride).status is RideStatus.IN_PROGRESS
    run(service, 120)
    assert service.stored(ride).cancel_reason == "unicorn_lost"
    assert service.stored_unicorn().state is UnicornState.NON_OPERATIONAL


def test_a_new_redis_is_refilled_at_once_and_nobody_looks_silent() -> None:
    service = Service()
    ride, waiting = service.matched(), service.request("rider-2")
    forget_everything(service)
    service.later(1)
    sweep(service.ports, service.now)
    assert waiting.ride_id in service.waiting.rides[waiting.zone]
    service.later(3600)
    assert service.stored(ride).status is RideStatus.MATCHED


def test_two_sweeps_at_once_publish_one_job(service: Service) -> None:
    service.request()
    forget_everything(service)
    service.later(3)
    sweep(service.ports, service.now)
    service.waiting.marks.clear()
    sweep(service.ports, service.now)
    assert len(service.rounds.published) == 1


def test_a_backlog_is_worked_off_oldest_first_by_sweep_after_sweep(service: Service) -> None:
    rides = [service.request(f"rider-{number}") for number in range(5)]
    forget_everything(service)
    service.later(3)
    answers = iter([True, True, False])
    assert sweep(service.ports, service.now, lambda: next(answers)) == 3
    assert set(service.waiting.rides[rides[0].zone]) == {ride.ride_id for ride in rides[:3]}
    assert sweep(service.ports, service.now, lambda: False) == 1
    assert sweep(service.ports, service.now) == 1
    assert set(service.waiting.rides[rides[0].zone]) == {ride.ride_id for ride in rides}
    assert sweep(service.ports, service.now) == 0


def test_a_planned_ride_is_given_up_when_its_plan_has_had_its_time(service: Service) -> None:
    """However long its unicorn seems to need only a little more."""
    service.on_duty()
    busy = service.request(dropoff=PICKUP)
    service.run_published_rounds()
    planned = service.request("rider-2")
    hard_end = planned.deadline_at + service.ports.rules.plan
    while service.now < hard_end:
        service.drives_to(PICKUP)
        sweep(service.ports, service.now)
        service.run_published_rounds()
        if service.now >= planned.deadline_at:
            assert service.waiting.plan_of(planned.zone, planned.ride_id)
        assert service.stored(planned).status is RideStatus.REQUESTED
        service.waiting.marks.clear()
        service.later(3)
    sweep(service.ports, service.now)
    assert service.stored(planned).status is RideStatus.UNMATCHED
    assert service.stored(busy).status is RideStatus.MATCHED


def test_no_round_takes_a_ride_that_is_past_its_end(service: Service) -> None:
    ride = service.request()
    service.later(181)
    service.on_duty()
    service.dispatcher.run(ride.zone, "")
    assert service.stored(ride).status is RideStatus.REQUESTED
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.UNMATCHED
