"""A unicorn arrives only near the pickup, or if it reports again; the distance is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.unicorns import Step, advance
from service.model import Location, Position, Ride, RideStatus
from service.model.errors import TooFarAway
from tests.support.service import PICKUP, Service

CLOSE = Location(PICKUP.latitude + 0.004, PICKUP.longitude)
FAR = Location(PICKUP.latitude + 0.005, PICKUP.longitude)
"""445 m and 556 m from the pickup."""
DROPOFF = Location(PICKUP.latitude, PICKUP.longitude + 0.02)


def take(service: Service, step: Step, ride: Ride, sent: Location | None = None) -> Ride:
    position = Position(sent, service.now) if sent else None
    return advance(service.ports, step, "u1", ride.ride_id, service.now, position)


def test_a_unicorn_within_reach_of_the_pickup_arrives(service: Service) -> None:
    ride = service.matched(at=CLOSE)
    assert take(service, Step.ARRIVE, ride).arrived_distance_metres == 445


def test_a_unicorn_far_from_the_pickup_does_not_arrive(service: Service) -> None:
    ride = service.matched(at=FAR)
    with pytest.raises(TooFarAway):
        take(service, Step.ARRIVE, ride)
    assert service.stored(ride).status is RideStatus.MATCHED
    assert service.stored(ride).version == ride.version


def test_a_driver_who_reports_the_arrival_again_after_half_a_minute_is_believed(
    service: Service,
) -> None:
    ride = service.matched(at=FAR)
    for _ in range(3):
        service.drives_to(FAR)
        with pytest.raises(TooFarAway):
            take(service, Step.ARRIVE, ride)
        service.later(14)
    service.drives_to(FAR)
    assert take(service, Step.ARRIVE, ride).arrived_distance_metres == 556


def test_another_unicorn_does_not_inherit_the_insistence_of_the_first(service: Service) -> None:
    ride = service.matched(at=FAR)
    with pytest.raises(TooFarAway):
        take(service, Step.ARRIVE, ride)
    take(service, Step.DECLINE, ride)
    service.on_duty("u2", at=FAR)
    service.later(60)
    service.drives_to(FAR, "u2")
    service.run_published_rounds()
    with pytest.raises(TooFarAway):
        service.takes(ride, Step.ARRIVE, unicorn_id="u2")


def test_the_place_that_comes_with_the_step_counts_more_than_the_last_position(
    service: Service,
) -> None:
    ride = service.matched(at=FAR)
    assert take(service, Step.ARRIVE, ride, PICKUP).arrived_distance_metres == 0


def test_the_place_that_comes_with_the_step_is_not_recorded(service: Service) -> None:
    ride = service.matched(at=FAR)
    reported = service.fleet.position("u1", service.now)
    take(service, Step.ARRIVE, ride, PICKUP)
    assert service.fleet.position("u1", service.now) == reported == Position(FAR, service.now)


@pytest.mark.parametrize("seconds_old", [16, 7200, -31])
def test_a_place_recorded_at_another_time_does_not_count(
    service: Service, seconds_old: int
) -> None:
    recorded_at = service.now - timedelta(seconds=seconds_old)
    ride = service.matched(at=FAR)
    at_pickup = Position(PICKUP, recorded_at)
    with pytest.raises(TooFarAway):
        advance(service.ports, Step.ARRIVE, "u1", ride.ride_id, service.now, at_pickup)


def test_a_place_that_comes_with_the_step_can_be_too_far_away(service: Service) -> None:
    ride = service.matched()
    with pytest.raises(TooFarAway):
        take(service, Step.ARRIVE, ride, FAR)


@pytest.mark.parametrize(("age", "refused"), [(15, True), (16, False)])
def test_only_a_fresh_position_can_refuse_an_arrival(
    service: Service, age: float, refused: bool
) -> None:
    ride = service.matched(at=FAR)
    service.later(age)
    if refused:
        with pytest.raises(TooFarAway):
            take(service, Step.ARRIVE, ride)
    else:
        assert take(service, Step.ARRIVE, ride).arrived_distance_metres is None


def test_with_a_limit_of_zero_a_unicorn_arrives_anywhere_and_the_distance_is_recorded(
    service: Service,
) -> None:
    rules = replace(service.ports.rules, arrive_max_metres=0)
    service.ports = replace(service.ports, rules=rules)
    ride = service.matched(at=FAR)
    assert take(service, Step.ARRIVE, ride).arrived_distance_metres == 556


def test_the_distance_from_the_dropoff_is_recorded_at_completion(service: Service) -> None:
    service.on_duty()
    ride = service.request(dropoff=DROPOFF)
    service.run_published_rounds()
    for step in (Step.ARRIVE, Step.START):
        take(service, step, ride)
    completed = take(service, Step.COMPLETE, ride)
    assert completed.status is RideStatus.COMPLETED
    assert completed.completed_distance_metres == pytest.approx(1685, abs=5)


def test_arriving_again_changes_nothing_wherever_the_unicorn_is_by_now(service: Service) -> None:
    ride = service.matched()
    arrived = take(service, Step.ARRIVE, ride)
    assert take(service, Step.ARRIVE, ride, FAR) == arrived
