"""Requesting, finding and canceling rides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest

from service.core.ports import Rules
from service.core.rides import RideOrder, cancel_ride, request_ride
from service.core.unicorns import Step
from service.core.watch import live_view
from service.model import Location, RideStatus, Unicorn, UnicornState
from service.model.errors import TooManyActiveRides
from tests.support.service import PICKUP, Service

NEARBY = Location(40.7300, -74.0000)


def test_a_requested_ride_is_stored_and_its_zone_gets_one_job(service: Service) -> None:
    first, second = service.request(), service.request("rider-2")
    assert service.stored(first).status is RideStatus.REQUESTED
    assert service.stored(second).status is RideStatus.REQUESTED
    assert len(service.rounds.published) == 1


def test_the_sweep_looks_after_a_ride_whose_job_was_lost_two_seconds_after_its_request(
    service: Service,
) -> None:
    ride = service.request()
    service.later(1.999)
    assert not service.rides.due(service.now, 10)
    service.later(0.001)
    assert [due.ride_id for due in service.rides.due(service.now, 10)] == [ride.ride_id]


def test_a_replay_of_a_waiting_ride_triggers_its_zone_again(service: Service) -> None:
    order = RideOrder(rider_id="rider-1", pickup=PICKUP, idempotency_key="key")
    request_ride(service.ports, order, service.now)
    service.run_published_rounds()
    request_ride(service.ports, order, service.now)
    assert len(service.rounds.published) == 1


def test_a_replay_of_a_ride_that_waits_no_longer_triggers_nothing(service: Service) -> None:
    order = RideOrder(rider_id="rider-1", pickup=PICKUP, idempotency_key="key")
    service.on_duty()
    ride, _ = request_ride(service.ports, order, service.now)
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.MATCHED
    request_ride(service.ports, order, service.now)
    assert service.rounds.published == []


def test_a_rider_with_enough_open_rides_is_refused_one_more_but_not_a_replay(
    service: Service,
) -> None:
    service.ports = replace(service.ports, rules=Rules(max_active_rides=1))
    first = service.request(idempotency_key="key")
    with pytest.raises(TooManyActiveRides):
        service.request()
    assert service.request(idempotency_key="key") == first
    cancel_ride(service.ports, first.ride_id, "rider-1", None, service.now)
    service.request()


def test_a_replay_is_accepted_although_the_limit_was_lowered(service: Service) -> None:
    first = service.request(idempotency_key="key")
    service.request()
    service.ports = replace(service.ports, rules=Rules(max_active_rides=1))
    assert service.request(idempotency_key="key") == first


def test_a_replay_is_accepted_although_the_listing_does_not_show_its_ride(service: Service) -> None:
    service.ports = replace(service.ports, rules=Rules(max_active_rides=1))
    old = service.request(idempotency_key="key")
    cancel_ride(service.ports, old.ride_id, "rider-1", None, service.now)
    service.later(2 * 86_400)
    service.request()
    assert service.request(idempotency_key="key").ride_id == old.ride_id
    with pytest.raises(TooManyActiveRides):
        service.request(idempotency_key="another key")


def test_canceling_frees_the_unicorn_and_a_second_time_changes_nothing(service: Service) -> None:
    ride = service.matched()
    canceled = cancel_ride(service.ports, ride.ride_id, "rider-1", "changed my mind", service.now)
    assert canceled.status is RideStatus.CANCELED
    assert canceled.cancel_reason == "changed my mind"
    assert service.stored_unicorn().state is UnicornState.AVAILABLE
    assert service.stored_unicorn().ride_id is None
    assert cancel_ride(service.ports, ride.ride_id, "rider-1", None, service.now) == canceled


def test_the_live_view_follows_the_unicorn_to_the_pickup(service: Service) -> None:
    ride = service.matched(at=NEARBY)
    view = live_view(service.ports, service.ports.pickup_etas, ride, service.now)
    assert view.position
    assert view.position.location == NEARBY
    assert view.pickup_eta_seconds == ride.pickup_eta_seconds
    service.later(40)
    service.drives_to(PICKUP)
    assert (
        live_view(service.ports, service.ports.pickup_etas, ride, service.now).pickup_eta_seconds
        == 0
    )


@pytest.mark.parametrize(("metres", "is_told"), [(8_000, True), (10_000, False), (100_000, False)])
def test_the_live_view_has_no_eta_beyond_four_caps(
    service: Service, metres: float, is_told: bool
) -> None:
    ride = service.matched()
    service.later(400)
    service.drives_to(Location(PICKUP.latitude + metres / 111_195, PICKUP.longitude))
    view = live_view(service.ports, service.ports.pickup_etas, ride, service.now)
    assert view.position
    assert (view.pickup_eta_seconds is not None) == is_told


def test_the_live_view_hides_a_stale_position(service: Service) -> None:
    ride = service.matched()
    service.later(timedelta(minutes=5).total_seconds())
    view = live_view(service.ports, service.ports.pickup_etas, ride, service.now)
    assert (view.position, view.pickup_eta_seconds) == (None, None)


def test_a_cancel_that_reads_during_another_cancel_is_no_conflict(service: Service) -> None:
    ride = service.matched()
    first = Mock(wraps=service.unicorns)

    def cancel_in_between(unicorn_id: str) -> Unicorn | None:
        first.get.side_effect = service.unicorns.get
        cancel_ride(service.ports, ride.ride_id, "rider-1", "first", service.now)
        return service.unicorns.get(unicorn_id)

    first.get.side_effect = cancel_in_between
    ports = replace(service.ports, unicorns=first)
    answer = cancel_ride(ports, ride.ride_id, "rider-1", "second", service.now)
    assert (answer.status, answer.cancel_reason) == (RideStatus.CANCELED, "first")


def test_a_cancel_that_meets_a_decline_still_cancels(service: Service) -> None:
    ride = service.matched(auto_accept=False)
    first = Mock(wraps=service.unicorns)

    def decline_in_between(unicorn_id: str) -> Unicorn | None:
        first.get.side_effect = service.unicorns.get
        service.takes(ride, Step.DECLINE)
        return service.unicorns.get(unicorn_id)

    first.get.side_effect = decline_in_between
    ports = replace(service.ports, unicorns=first)
    answer = cancel_ride(ports, ride.ride_id, "rider-1", None, service.now)
    assert answer.status is RideStatus.CANCELED
    assert service.stored_unicorn().ride_id is None
