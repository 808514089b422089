"""In a pause no ride is stored or matched; waiting rides end in time or are matched afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.core import staff
from service.core.sweep import sweep
from service.model import Location, Ride, RideStatus
from service.model.errors import DispatchPaused, Unavailable
from service.model.operations import DispatchState
from tests.support.fakes_redis import FakeCityMap
from tests.support.service import PICKUP, Service

ELSEWHERE = Location(51.5, -0.12)


def test_a_repeated_request_finds_its_ride_during_a_pause(service: Service) -> None:
    ride = service.request(idempotency_key="key")
    staff.set_pause(service.ports, None, True, service.now)
    assert service.request(idempotency_key="key") == ride
    with pytest.raises(DispatchPaused):
        service.request(idempotency_key="other")


def test_waiting_rides_are_not_matched_while_paused_and_are_when_resumed(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    staff.set_pause(service.ports, ride.zone, True, service.now)
    service.run_published_rounds()
    sweep(service.ports, service.later(3))
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED
    service.waiting.marks.clear()
    staff.set_pause(service.ports, ride.zone, False, service.now)
    assert service.run_published_rounds() == 1
    assert service.stored(ride).status is RideStatus.MATCHED


def test_resuming_one_zone_triggers_no_zone_that_is_still_paused(service: Service) -> None:
    here, there = service.request(), service.request("rider-2", pickup=ELSEWHERE)
    for zone in (here.zone, there.zone):
        staff.set_pause(service.ports, zone, True, service.now)
    service.rounds.published.clear()
    service.waiting.marks.clear()
    staff.set_pause(service.ports, here.zone, False, service.now)
    assert [zone for zone, _ in service.rounds.published] == [here.zone]


def test_a_ride_that_waits_through_a_pause_still_ends_at_its_deadline(service: Service) -> None:
    ride = service.request()
    staff.set_pause(service.ports, None, True, service.now)
    sweep(service.ports, service.later(181))
    assert service.stored(ride).status is RideStatus.UNMATCHED


def test_trips_go_on_during_a_pause(service: Service) -> None:
    ride = service.matched()
    sweep(service.ports, service.now)
    staff.set_pause(service.ports, None, True, service.now)
    sweep(service.ports, service.later(100))
    assert service.stored(ride).status is RideStatus.REQUESTED, "its silent unicorn is replaced"


def test_the_age_of_the_oldest_waiting_ride_is_known(service: Service) -> None:
    city = FakeCityMap(service.fleet, service.waiting)
    assert staff.oldest_waiting(city, service.now) is None
    service.request()
    service.later(5)
    service.request("rider-2", pickup=PICKUP)
    assert staff.oldest_waiting(city, service.now) == timedelta(seconds=5)


def test_dispatch_resumes_although_the_waiting_rides_cannot_be_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[Ride]:
        raise Unavailable("the table is away")

    staff.set_pause(service.ports, None, True, service.now)
    monkeypatch.setattr(service.ports.rides, "due", away)
    assert staff.set_pause(service.ports, None, False, service.now) == DispatchState()
    assert service.ports.control.current() == DispatchState()
