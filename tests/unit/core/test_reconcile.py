"""Rides and unicorns that contradict each other, as after a table was restored, are repaired."""

from __future__ import annotations

import itertools

import pytest

from service.core import unicorns
from service.core.reconcile import Mended, mend, reconcile
from service.core.rides import cancel_ride
from service.core.staff import cancel_as_admin, reassign_ride
from service.core.sweep import sweep
from service.core.unicorns import Step
from service.model import ASSIGNED, Ride, RideStatus, Unicorn, UnicornState
from tests.support.service import PICKUP, Service

STEPS = (Step.ARRIVE, Step.START, Step.COMPLETE)


def history(service: Service) -> list[tuple[Ride, Unicorn]]:
    """The ride and its unicorn as they were stored after each step of a whole ride."""
    service.on_duty()
    ride = service.request()
    pairs = [(service.stored(ride), service.stored_unicorn())]
    service.run_published_rounds()
    pairs.append((service.stored(ride), service.stored_unicorn()))
    for step in STEPS:
        service.later(30)
        service.takes(ride, step)
        pairs.append((service.stored(ride), service.stored_unicorn()))
    return pairs


def tear(service: Service, ride: Ride, unicorn: Unicorn) -> None:
    service.rides.put(ride)
    service.unicorns.put(unicorn)
    service.fleet.forget(["u1"])
    service.fleet.refresh(unicorn, service.now)
    service.waiting.rides.clear()


def check_agreement(service: Service) -> None:
    """Each assigned ride has its unicorn in the state that fits, and no other is reserved."""
    for ride in service.rides.all():
        if ride.status in ASSIGNED:
            unicorn = service.unicorns.get(ride.unicorn_id or "")
            assert unicorn
            assert unicorn.ride_id == ride.ride_id
            on_trip = unicorn.state is UnicornState.ON_TRIP
            assert on_trip == (ride.status is RideStatus.IN_PROGRESS)
    for unicorn in service.unicorns.all():
        if unicorn.ride_id:
            held = service.rides.get(unicorn.ride_id)
            assert held
            assert held.status in ASSIGNED
            assert held.unicorn_id == unicorn.unicorn_id


@pytest.mark.parametrize(("older", "newer"), list(itertools.product(range(5), repeat=2)))
def test_reconciling_repairs_any_pair_of_states_and_a_second_time_nothing(
    service: Service, older: int, newer: int
) -> None:
    pairs = history(service)
    tear(service, pairs[older][0], pairs[newer][1])
    reconcile(service.ports, service.unicorns.all(), service.now, 1000)
    check_agreement(service)
    again = reconcile(service.ports, service.unicorns.all(), service.now, 1000)
    assert (again.repairs, again.complete) == ([], True)


@pytest.mark.parametrize("moment", range(1, 5))
def test_a_unicorn_reserved_for_a_ride_that_is_gone_is_freed(service: Service, moment: int) -> None:
    ride, unicorn = history(service)[moment]
    tear(service, ride, unicorn)
    del service.rides._stored[ride.ride_id]
    mended = reconcile(service.ports, service.unicorns.all(), service.now, 1000).repairs
    assert [repair.what for repair in mended] == ([Mended.UNICORN_FREED] if moment < 4 else [])
    assert service.stored_unicorn().can_take_a_ride


def test_a_ride_whose_unicorn_has_another_ride_looks_for_another_unicorn(service: Service) -> None:
    ride, unicorn = history(service)[1]
    service.drives_to(PICKUP)
    second = service.request("rider-2")
    service.run_published_rounds()
    assert service.stored(second).unicorn_id == "u1"
    service.rides.put(ride)
    what = mend(service.ports, ride.ride_id, unicorn.unicorn_id, service.now)
    assert what is Mended.RIDE_RETURNED
    assert service.stored(ride).status is RideStatus.REQUESTED
    assert service.stored_unicorn().ride_id == second.ride_id
    check_agreement(service)


def test_a_ride_in_progress_whose_unicorn_is_gone_ends(service: Service) -> None:
    ride, _ = history(service)[3]
    service.rides.put(ride)
    del service.unicorns._stored["u1"]
    assert mend(service.ports, ride.ride_id, "u1", service.now) is Mended.RIDE_ENDED
    assert service.stored(ride).cancel_reason == "unicorn_lost"


@pytest.mark.parametrize("act", ["admin cancels", "admin reassigns", "rider cancels"])
def test_a_ride_whose_unicorn_is_not_on_it_can_be_canceled_and_reassigned(
    service: Service, act: str
) -> None:
    (_, free), (ride, _), *_ = history(service)
    tear(service, ride, free)
    acts = {
        "admin cancels": lambda: cancel_as_admin(service.ports, ride.ride_id, None, service.now),
        "admin reassigns": lambda: reassign_ride(service.ports, ride.ride_id, service.now),
        "rider cancels": lambda: cancel_ride(
            service.ports, ride.ride_id, "rider-1", None, service.now
        ),
    }
    assert acts[act]().status in {RideStatus.CANCELED, RideStatus.REQUESTED}
    assert service.stored_unicorn() == free


def test_the_sweep_mends_a_ride_whose_unicorn_is_not_on_it(service: Service) -> None:
    service.fleet.begin_epoch(service.now)
    (_, free), (ride, _), *_ = history(service)
    tear(service, ride, free)
    service.later(20)
    sweep(service.ports, service.now)
    check_agreement(service)
    assert service.stored_unicorn().ride_id == ride.ride_id


def test_a_unicorn_whose_driver_reads_an_ended_ride_is_freed(service: Service) -> None:
    _, (_, reserved), _, _, (ended, _) = history(service)
    tear(service, ended, reserved)
    assert unicorns.with_ride(service.ports, reserved, service.now).ride is None
    assert service.stored_unicorn().can_take_a_ride


def test_reconciling_writes_every_unicorn_and_waiting_ride_to_redis(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    service.waiting.rides.clear()
    service.fleet.forget(["u1"])
    done = reconcile(service.ports, service.unicorns.all(), service.now, 1000)
    assert (done.unicorns, done.rides) == (1, 1)
    assert ride.ride_id in service.waiting.rides[ride.zone]
    assert service.fleet.entries(["u1"], service.now)["u1"].unicorn == service.stored_unicorn()


def test_reconciling_says_that_it_is_not_complete_when_time_is_up(service: Service) -> None:
    history(service)
    done = reconcile(service.ports, service.unicorns.all(), service.now, 1000, lambda: False)
    assert (done.unicorns, done.complete) == (0, False)


@pytest.mark.parametrize("step", [Step.DECLINE, Step.COMPLETE])
def test_a_driver_can_end_a_ride_that_the_unicorns_row_does_not_name(
    service: Service, step: Step
) -> None:
    pairs = history(service)
    ride = pairs[3 if step is Step.COMPLETE else 1][0]
    tear(service, ride, pairs[0][1])
    assert service.takes(ride, step).status not in ASSIGNED
    assert service.stored_unicorn().can_take_a_ride


def test_a_decline_between_read_and_write_of_a_cancel_is_no_conflict(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on_duty()
    ride = service.request()
    service.run_published_rounds()
    commit = service.ports.assignments.commit

    def decline_first(*pair: object) -> None:
        monkeypatch.undo()
        service.takes(ride, Step.DECLINE)
        commit(*pair)  # type: ignore[arg-type]

    monkeypatch.setattr(service.ports.assignments, "commit", decline_first)
    canceled = cancel_ride(service.ports, ride.ride_id, "rider-1", None, service.now)
    assert canceled.status is RideStatus.CANCELED
    assert service.stored_unicorn().can_take_a_ride
    assert canceled.pickup == PICKUP
