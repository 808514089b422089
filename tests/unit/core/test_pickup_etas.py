"""Rounds, estimates, the live view and the sweep use the same travel times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from service.core import estimates
from service.core.pickup_etas import PickupEtas
from service.core.sweep import sweep
from service.core.travel_times import ZoneTimes
from service.core.unicorns import Step
from service.core.watch import live_view
from service.matching.travel import FloatArray
from service.model import Location, RideStatus
from tests.support.service import PICKUP, Service

FAR = Location(PICKUP.latitude + 0.02, PICKUP.longitude)


@dataclass
class CountedTimes:
    """Travel times that are the same for every drive; counts its calls."""

    seconds: float = 100.0
    asked: int = 0

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        self.asked += 1
        return np.full(len(origins), self.seconds), np.full(len(origins), 10 * self.seconds)

    def reach_metres(self, seconds: float) -> float:
        return seconds * 10


@pytest.fixture
def times(service: Service) -> CountedTimes:
    times = CountedTimes()
    zone_times = ZoneTimes(times)
    service.ports = replace(service.ports, times=zone_times, pickup_etas=PickupEtas(zone_times, {}))
    return times


def eta(service: Service, ride_id: str) -> int | None:
    ride = service.rides.get(ride_id)
    assert ride
    return live_view(service.ports, service.ports.pickup_etas, ride, service.now).pickup_eta_seconds


def test_a_thousand_reads_of_a_ride_in_ten_seconds_cost_one_estimate(
    service: Service, times: CountedTimes
) -> None:
    ride = service.matched()
    for _ in range(1000):
        eta(service, ride.ride_id)
        service.later(0.009)
    assert times.asked == 1


def test_an_eta_is_counted_down_between_two_estimates(
    service: Service, times: CountedTimes
) -> None:
    ride = service.matched()
    assert eta(service, ride.ride_id) == 100
    service.later(9)
    assert eta(service, ride.ride_id) == 91
    service.later(1)
    times.seconds = 95.0
    assert eta(service, ride.ride_id) == 95
    assert times.asked == 2


def test_a_reader_gets_the_stored_eta_while_another_one_asks_for_a_new_one(
    service: Service, times: CountedTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = replace(service.matched(), pickup_eta_seconds=120)
    service.later(20)
    heard: list[int] = []
    estimate = times.estimate

    def slowly(*asked: FloatArray) -> tuple[FloatArray, FloatArray]:
        heard.append(service.ports.pickup_etas.pickup_eta(ride, PICKUP, service.now))
        return estimate(*asked)

    monkeypatch.setattr(times, "estimate", slowly)
    assert service.ports.pickup_etas.pickup_eta(ride, PICKUP, service.now) == 100
    assert heard == [100]
    monkeypatch.undo()
    times.seconds = 70.0
    service.later(10)
    assert service.ports.pickup_etas.pickup_eta(ride, PICKUP, service.now) == 70


def test_an_eta_is_never_counted_below_zero(service: Service, times: CountedTimes) -> None:
    times.seconds = 3.0
    ride = service.matched()
    assert eta(service, ride.ride_id) == 3
    service.later(8)
    assert eta(service, ride.ride_id) == 0


def test_another_unicorn_of_the_same_ride_gets_another_estimate(
    service: Service, times: CountedTimes
) -> None:
    ride = service.matched()
    eta(service, ride.ride_id)
    service.on_duty("u2")
    service.takes(ride, Step.DECLINE)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    eta(service, ride.ride_id)
    assert times.asked == 2


def test_estimates_use_the_same_travel_times(service: Service, times: CountedTimes) -> None:
    service.on_duty()
    told = estimates.estimate(service.ports, PICKUP, FAR, service.now)
    assert (told.pickup_eta_seconds, told.trip_seconds, told.trip_metres) == (100, 100, 1000)


def test_the_sweep_uses_the_same_travel_times_for_the_length_of_a_trip(
    service: Service, times: CountedTimes
) -> None:
    times.seconds = 3600.0
    service.fleet.begin_epoch(service.now)
    service.on_duty()
    ride = service.request(dropoff=FAR)
    service.run_published_rounds()
    service.takes(ride, Step.ARRIVE, Step.START)
    service.later(timedelta(hours=2, minutes=59).total_seconds())
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.IN_PROGRESS
    service.later(120)
    sweep(service.ports, service.now)
    assert service.stored(ride).cancel_reason == "unicorn_lost"
