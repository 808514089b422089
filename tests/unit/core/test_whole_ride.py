"""Rides whose rider, unicorn or Redis goes away between two steps."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from service.core.rides import cancel_ride
from service.core.sweep import RETRY_EVERY, sweep
from service.core.unicorns import Step
from service.model import CanceledBy, RideStatus, Unicorn, UnicornState
from service.model.errors import NotCancelable, Unavailable
from tests.support.service import PICKUP, Service

LONG_WAY = {"dropoff": replace(PICKUP, latitude=PICKUP.latitude + 0.09)}
"""Some 10 km: half an hour by the estimate."""


@pytest.fixture(autouse=True)
def an_epoch_long_ago(service: Service) -> None:
    service.fleet.begin_epoch(service.now)


def be_silent(service: Service, minutes: int) -> None:
    """No unicorn calls for so long, while the sweep runs every 15 s."""
    for _ in range(4 * minutes):
        service.later(15)
        sweep(service.ports, service.now)


def test_an_accepted_ride_can_still_be_declined(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    service.takes(ride, Step.ACCEPT, Step.DECLINE, Step.DECLINE)
    back = service.stored(ride)
    assert (back.status, back.excluded, back.version) == (RideStatus.REQUESTED, {"u1"}, 4)


def test_a_cancel_that_comes_after_the_start_is_refused(service: Service) -> None:
    ride = service.matched()
    service.takes(ride, Step.ARRIVE)
    committing = Mock(wraps=service.ports.assignments)

    def after_the_start(*change: object) -> None:
        committing.commit.side_effect = service.ports.assignments.commit
        service.takes(ride, Step.START)
        service.ports.assignments.commit(*change)  # type: ignore[arg-type]

    committing.commit.side_effect = after_the_start
    with pytest.raises(NotCancelable):
        cancel_ride(
            replace(service.ports, assignments=committing),
            ride.ride_id,
            "rider-1",
            None,
            service.now,
        )
    assert service.stored(ride).status is RideStatus.IN_PROGRESS
    assert service.stored_unicorn().state is UnicornState.ON_TRIP


def test_a_unicorn_that_vanishes_while_it_is_available_gets_no_ride(service: Service) -> None:
    service.on_duty()
    service.later(61)
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED


@pytest.mark.parametrize("steps", [(), (Step.ARRIVE,)], ids=["matched", "arrived"])
def test_a_unicorn_that_vanishes_before_the_start_is_replaced(
    service: Service, steps: tuple[Step, ...]
) -> None:
    ride = service.matched()
    service.takes(ride, *steps)
    be_silent(service, minutes=2)
    assert service.stored(ride).status is RideStatus.REQUESTED
    assert service.stored_unicorn().state is UnicornState.NON_OPERATIONAL
    service.on_duty("u2")
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"


def test_a_unicorn_on_a_long_trip_is_lost_only_after_three_times_its_length(
    service: Service,
) -> None:
    service.on_duty()
    ride = service.request(**LONG_WAY)
    service.run_published_rounds()
    service.takes(ride, Step.ARRIVE, Step.START)
    be_silent(service, minutes=90)
    assert service.stored(ride).status is RideStatus.IN_PROGRESS
    be_silent(service, minutes=60)
    ended = service.stored(ride)
    assert (ended.canceled_by, ended.cancel_reason) == (CanceledBy.SYSTEM, "unicorn_lost")
    unicorn = service.stored_unicorn()
    assert (unicorn.state, unicorn.ride_id) == (UnicornState.NON_OPERATIONAL, None)


def test_a_rider_does_not_show_up_while_redis_is_away(service: Service) -> None:
    ride = service.matched()
    service.takes(ride, Step.ARRIVE)
    away = Mock(**{"begin_epoch.side_effect": Unavailable, "presence.side_effect": Unavailable})
    away.refresh.side_effect = Unavailable
    for minutes, status in ((9, RideStatus.ARRIVED), (1, RideStatus.CANCELED)):
        service.later(60 * minutes)
        sweep(replace(service.ports, fleet=away), service.now)
        assert service.stored(ride).status is status
    ended = service.stored(ride)
    assert (ended.canceled_by, ended.cancel_reason) == (CanceledBy.SYSTEM, "no_show")
    assert service.stored_unicorn().can_take_a_ride


def test_a_matched_ride_keeps_its_unicorn_while_redis_is_away(service: Service) -> None:
    ride = service.matched()
    asked = ("begin_epoch", "presence", "patrols_due")
    away = Mock(**{f"{name}.side_effect": Unavailable for name in asked})
    service.later(600)
    sweep(replace(service.ports, fleet=away), service.now)
    assert service.stored(ride) == replace(ride, due_at=service.now + RETRY_EVERY, failed_looks=1)


def test_rides_that_need_redis_do_not_hold_up_the_others_while_it_is_away(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.core.sweep.BATCH_RIDES", 2)
    for number in range(3):
        service.on_duty(f"u{number}")
        service.request(f"rider-{number}")
    service.run_published_rounds()
    service.on_duty("slow", auto_accept=False)
    offered = service.request()
    service.run_published_rounds()
    assert service.stored(offered).status is RideStatus.OFFERED
    away = Mock(**{"begin_epoch.side_effect": Unavailable, "presence.side_effect": Unavailable})
    away.refresh.side_effect = Unavailable
    service.later(16)
    for _ in range(2):
        sweep(replace(service.ports, fleet=away), service.later(1))
    assert service.stored(offered).status is RideStatus.REQUESTED


def test_only_a_unicorn_that_has_the_ride_is_noted_with_its_version(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str | None, int | None]] = []
    refresh = service.fleet.refresh

    def remember(unicorn: Unicorn, now: object, ride_version: int | None = None) -> None:
        told.append((unicorn.ride_id, ride_version))
        refresh(unicorn, service.now, ride_version)

    monkeypatch.setattr(service.fleet, "refresh", remember)
    ride = service.matched()
    assert told[-1] == (ride.ride_id, ride.version)
    cancel_ride(service.ports, ride.ride_id, "rider-1", None, service.now)
    assert told[-1] == (None, None)
