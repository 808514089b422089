"""Rides at poles and at the date line are matched, or end if no unicorn is in reach."""

from __future__ import annotations

import pytest

from service.core.sweep import sweep
from service.model import Location, RideStatus
from tests.support.service import Service

PLACES = [
    Location(0, -160),
    Location(90, 0),
    Location(-90, 0),
    Location(0, 180),
    Location(0, -180),
    Location(85.06, 17),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_ride_that_no_unicorn_can_reach_ends_unmatched(service: Service, place: Location) -> None:
    service.fleet.begin_epoch(service.now)
    service.on_duty()
    ride = service.request(pickup=place)
    for _ in range(60):
        service.run_published_rounds()
        service.later(4)
        sweep(service.ports, service.now)
    ended = service.stored(ride)
    assert (ended.status, ended.due_at) == (RideStatus.UNMATCHED, None)


@pytest.mark.parametrize("place", PLACES)
def test_a_unicorn_that_is_there_takes_the_ride(service: Service, place: Location) -> None:
    service.on_duty(at=place)
    ride = service.request(pickup=place)
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.MATCHED
