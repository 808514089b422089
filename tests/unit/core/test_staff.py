"""Admins cancel and reassign rides, and take unicorns out of the fleet."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from service.core.positions import Report, record_positions
from service.core.rides import cancel_ride
from service.core.staff import cancel_as_admin, reassign_ride, remove_unicorn
from service.core.sweep import sweep
from service.core.unicorns import Step, set_availability
from service.model import CanceledBy, Position, PositionProblem, Ride, RideStatus, UnicornState
from service.model.errors import IllegalTransition, UnicornBusy, UnicornExists
from tests.support.service import PICKUP, Service

TO_STATUS = {
    RideStatus.REQUESTED: (),
    RideStatus.OFFERED: (),
    RideStatus.MATCHED: (),
    RideStatus.ARRIVED: (Step.ARRIVE,),
    RideStatus.IN_PROGRESS: (Step.ARRIVE, Step.START),
}


def ride_in(service: Service, status: RideStatus) -> Ride:
    """A ride in this state, with u1 if it has a unicorn."""
    if status is not RideStatus.REQUESTED:
        service.on_duty(auto_accept=status is not RideStatus.OFFERED)
    ride = service.request()
    service.run_published_rounds()
    service.takes(ride, *TO_STATUS[status])
    assert service.stored(ride).status is status
    return service.stored(ride)


@pytest.mark.parametrize("status", TO_STATUS)
def test_an_admin_cancels_a_ride_in_any_open_state(service: Service, status: RideStatus) -> None:
    ride = ride_in(service, status)
    canceled = cancel_as_admin(service.ports, ride.ride_id, "storm", service.later(1))
    assert (canceled.status, canceled.due_at) == (RideStatus.CANCELED, None)
    assert (canceled.canceled_by, canceled.cancel_reason) == (CanceledBy.ADMIN, "storm")
    assert service.waiting.rides.get(ride.zone, {}) == {}
    if ride.unicorn_id:
        assert service.stored_unicorn().can_take_a_ride


def test_canceling_a_canceled_ride_changes_nothing(service: Service) -> None:
    ride = ride_in(service, RideStatus.MATCHED)
    by_rider = cancel_ride(service.ports, ride.ride_id, "rider-1", None, service.now)
    assert cancel_as_admin(service.ports, ride.ride_id, "storm", service.later(1)) == by_rider


@pytest.mark.parametrize("status", [RideStatus.OFFERED, RideStatus.MATCHED, RideStatus.ARRIVED])
def test_a_reassigned_ride_goes_to_another_unicorn_and_never_back(
    service: Service, status: RideStatus
) -> None:
    ride = ride_in(service, status)
    back = reassign_ride(service.ports, ride.ride_id, service.later(1))
    assert (back.status, back.unicorn, back.excluded) == (RideStatus.REQUESTED, None, {"u1"})
    assert (back.matched_at, back.arrived_at) == (None, None)
    assert service.stored_unicorn().can_take_a_ride
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED
    service.on_duty("u2", PICKUP)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    assert service.stored_unicorn("u1").ride_id is None


def test_a_reassigned_ride_gets_a_fresh_deadline_only_three_times(service: Service) -> None:
    deadlines = []
    service.on_duty("u1")
    ride = service.request()
    for number in range(1, 6):
        service.run_published_rounds()
        assert service.stored(ride).unicorn_id == f"u{number}"
        service.later(60)
        service.on_duty(f"u{number + 1}")
        back = reassign_ride(service.ports, ride.ride_id, service.now)
        deadlines.append((back.deadline_at - ride.requested_at).total_seconds())
    assert deadlines == [240, 300, 360, 360, 360]


def test_two_reassignments_at_once_take_one_unicorn(service: Service) -> None:
    ride = ride_in(service, RideStatus.MATCHED)
    service.on_duty("u2", PICKUP)
    committing = Mock(wraps=service.ports.assignments)

    def after_another(*change: object) -> None:
        reassign_ride(service.ports, ride.ride_id, service.now)
        service.run_published_rounds()
        service.ports.assignments.commit(*change)  # type: ignore[arg-type]

    committing.commit.side_effect = after_another
    ports = replace(service.ports, assignments=committing)
    assert reassign_ride(ports, ride.ride_id, service.now).unicorn_id == "u2"
    assert service.stored(ride).excluded == {"u1"}


def test_a_removed_unicorn_gets_no_ride_and_cannot_come_back(service: Service) -> None:
    service.on_duty(account_sub="driver-1")
    seen = service.stored_unicorn().version
    remove_unicorn(service.ports, "u1", service.now, lambda version: version == seen)
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED
    noted = service.drives_to(PICKUP)
    assert noted.unicorn
    assert not noted.unicorn.can_take_a_ride
    with pytest.raises(IllegalTransition):
        set_availability(service.ports, "u1", True, service.now)
    with pytest.raises(UnicornExists):
        service.on_duty("u1")
    service.on_duty("u2", account_sub="driver-1")
    assert service.unicorns.of_account("driver-1") == "u2"


def test_a_bulk_report_rejects_a_removed_unicorn(service: Service) -> None:
    """Also where the fleet index has forgotten its state, and beside one that is on duty."""
    service.on_duty("u1")
    service.on_duty("u2")
    remove_unicorn(service.ports, "u1", service.now)
    now = service.later(10)
    reports = [Report(name, Position(PICKUP, now)) for name in ("u1", "u2")]
    for _ in range(2):
        assert record_positions(service.ports, reports, now) == [
            PositionProblem.NO_SUCH_UNICORN,
            None,
        ]
        service.fleet._states.clear()


def test_a_unicorn_that_is_claimed_while_it_is_removed_stays(service: Service) -> None:
    service.on_duty()
    service.request()
    saving = Mock(wraps=service.unicorns)

    def after_a_round(*change: object) -> None:
        service.run_published_rounds()
        service.unicorns.save(*change)  # type: ignore[arg-type]

    saving.save.side_effect = after_a_round
    with pytest.raises(UnicornBusy):
        remove_unicorn(replace(service.ports, unicorns=saving), "u1", service.now)
    assert service.stored_unicorn().state is UnicornState.RESERVED


def test_a_ride_in_progress_that_an_admin_cancels_is_left_alone_by_the_sweep(
    service: Service,
) -> None:
    ride = ride_in(service, RideStatus.IN_PROGRESS)
    canceled = cancel_as_admin(service.ports, ride.ride_id, None, service.now)
    service.later(7200)
    assert sweep(service.ports, service.now).rides == 0
    assert service.stored(ride) == canceled
