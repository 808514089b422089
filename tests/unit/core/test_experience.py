"""Completed rides teach their zone, and what it has learned is what rounds and riders get."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest

from service.core import unicorns
from service.core.estimates import estimate
from service.core.experience import learn_from_legs
from service.core.times import NEW_YORK, ZoneTimes, completed_legs
from service.core.unicorns import Step
from service.core.watch import live_view
from service.matching.correction import AS_ESTIMATED, Correction, Kind, Leg
from service.matching.travel import GreatCircle
from service.matching.zones import zone_of
from service.model import Location, Ride
from tests.support.builders import NOW, a_finished_ride
from tests.support.fakes_redis import FakeCorrections
from tests.unit.core.conftest import PICKUP, Service
from tests.unit.matching.test_learning import legs_of

ZONE = zone_of(PICKUP)
NEARBY = Location(PICKUP.latitude + 0.005, PICKUP.longitude)
DROPOFF = Location(PICKUP.latitude + 0.02, PICKUP.longitude)
TWICE = Correction(by_distance=(0.6931,) * 7, spread=0.5)


def knows(service: Service, *learned: Kind, prior: Correction = AS_ESTIMATED) -> None:
    corrections = FakeCorrections()
    for kind in learned:
        corrections.put(ZONE, kind, TWICE)
    times = ZoneTimes(GreatCircle(), corrections, prior)
    service.ports = replace(service.ports, times=times)
    service.dispatcher = replace(service.dispatcher, ports=service.ports)


def driven(service: Service) -> Ride:
    service.on_duty(at=NEARBY)
    ride = service.request(dropoff=DROPOFF)
    service.run_published_rounds()
    for step, seconds in ((Step.ARRIVE, 200), (Step.START, 30), (Step.COMPLETE, 600)):
        service.later(seconds)
        service.drives_to(PICKUP if step is not Step.COMPLETE else DROPOFF)
        ride = unicorns.advance(service.ports, step, "u1", ride.ride_id, service.now)
    return ride


def test_a_completed_ride_leaves_both_of_its_legs(service: Service) -> None:
    driven(service)
    (pickup,) = service.legs.recent(ZONE, Kind.PICKUP)
    (trip,) = service.legs.recent(ZONE, Kind.TRIP)
    assert (pickup.seconds, trip.seconds) == (200, 600)
    assert pickup.metres == pytest.approx(556, rel=0.01)
    assert trip.estimated == pytest.approx(GreatCircle().seconds_between(PICKUP, DROPOFF), abs=1)
    assert pickup.unicorn_id == "u1"


def test_a_leg_holds_cells_and_no_coordinates() -> None:
    for leg in completed_legs(a_finished_ride(), GreatCircle()).values():
        assert not {str(PICKUP.latitude), str(PICKUP.longitude)} & set(map(str, leg))
        assert len(leg.origin) == len(leg.destination) == 15


@pytest.mark.parametrize(
    ("metres", "taught"),
    [
        ((None, None), {*Kind}),
        ((500, 500), {*Kind}),
        ((501, 0), {Kind.TRIP}),
        ((0, 9000), {Kind.PICKUP}),
    ],
)
def test_a_leg_that_was_said_to_end_elsewhere_teaches_nothing(
    metres: tuple[int | None, int | None], taught: set[Kind]
) -> None:
    arrived, completed = metres
    ride = replace(
        a_finished_ride(), arrived_distance_metres=arrived, completed_distance_metres=completed
    )
    assert completed_legs(ride, GreatCircle()).keys() == taught


def test_a_ride_without_dropoff_teaches_its_pickup_only() -> None:
    assert completed_legs(a_finished_ride(dropoff=None), GreatCircle()).keys() == {Kind.PICKUP}


def test_what_many_legs_say_is_learned_by_their_zone_alone() -> None:
    service, learned = Service(), FakeCorrections()
    now = NOW.timestamp()
    for leg in legs_of(800, factor=1.3):
        moved = leg._replace(started=leg.started - 100_000.0 + now)
        service.legs.add(ZONE, {Kind.PICKUP: moved})
    assert learn_from_legs(service.legs, learned, AS_ESTIMATED, NOW) == 1
    assert learned.learned.keys() == {(ZONE, Kind.PICKUP)}


def test_legs_of_one_kind_teach_nothing_about_the_other() -> None:
    times = ZoneTimes(GreatCircle(), FakeCorrections())
    assert times.deciding(ZONE, NOW) is times.base


def test_until_a_zone_has_learned_rounds_decide_by_the_base_and_riders_hear_the_prior(
    service: Service,
) -> None:
    knows(service, prior=NEW_YORK)
    ride = service.matched(at=NEARBY)
    decided = GreatCircle().seconds_between(NEARBY, PICKUP)
    assert ride.pickup_eta_seconds
    assert ride.pickup_eta_latest_seconds
    # 353 s × 0.556 ** 0.58: short drives cost more than their metres.
    assert ride.pickup_eta_seconds == pytest.approx(251, abs=6)
    assert ride.pickup_eta_seconds > 1.5 * decided
    assert ride.pickup_eta_latest_seconds > 1.5 * ride.pickup_eta_seconds


def test_riders_hear_what_their_zone_has_learned_and_when_it_comes_at_the_latest(
    service: Service,
) -> None:
    knows(service, Kind.PICKUP, Kind.TRIP)
    service.on_duty(at=NEARBY)
    told = estimate(service.ports, PICKUP, DROPOFF, service.now)
    plain = GreatCircle()
    assert told.pickup_eta_seconds == pytest.approx(2 * plain.seconds_between(NEARBY, PICKUP), 0.1)
    assert told.trip_seconds == pytest.approx(2 * plain.seconds_between(PICKUP, DROPOFF), 0.02)
    assert told.pickup_eta_seconds
    assert told.trip_seconds
    assert told.pickup_eta_latest_seconds == pytest.approx(1.9 * told.pickup_eta_seconds, 0.02)
    assert told.trip_latest_seconds == pytest.approx(1.9 * told.trip_seconds, 0.02)


def test_a_round_leaves_out_a_unicorn_that_is_too_far_by_what_was_learned(
    service: Service,
) -> None:
    at = Location(PICKUP.latitude + 0.013, PICKUP.longitude)  # 309 s by straight line
    knows(service, Kind.PICKUP)
    service.on_duty(at=at)
    ride = service.request()
    service.run_published_rounds()
    stored = service.rides.get(ride.ride_id)
    assert stored
    assert stored.unicorn_id is None


def test_the_live_view_says_when_it_comes_at_the_latest(service: Service) -> None:
    ride = service.matched(at=NEARBY)
    view = live_view(
        service.ports, service.ports.arrivals, ride, service.now + timedelta(seconds=1)
    )
    assert view.pickup_eta_seconds
    assert view.pickup_eta_latest_seconds
    assert view.pickup_eta_latest_seconds > view.pickup_eta_seconds


def test_a_planned_rider_hears_the_same_times_as_one_with_a_unicorn(service: Service) -> None:
    knows(service, prior=NEW_YORK)
    service.on_duty(at=NEARBY)
    busy = service.request("rider-1", dropoff=NEARBY)
    service.run_published_rounds()
    waiting = service.request("rider-2")
    service.run_published_rounds()
    plan = service.waiting.plan_of(ZONE, waiting.ride_id)
    assert service.stored(busy).unicorn_id == "u1"
    assert plan
    knows(service)
    service.waiting.mark([ZONE])
    service.rounds.publish(ZONE, "request-2")
    service.run_published_rounds()
    decided = service.waiting.plan_of(ZONE, waiting.ride_id)
    assert decided
    # 251 s instead of 119 s for the 556 m from the dropoff.
    assert plan.pickup_eta_seconds - decided.pickup_eta_seconds == pytest.approx(132, abs=8)


def test_a_completed_ride_asks_once_for_both_of_its_legs() -> None:
    base = Mock(wraps=GreatCircle())
    assert len(completed_legs(a_finished_ride(), base)) == 2
    assert base.estimate.call_count == 1


def test_a_leg_keeps_its_fields_in_order() -> None:
    # They are stored as a list: an order that changes would be read as something else.
    names = "origin destination metres bearing estimated started seconds unicorn_id"
    assert Leg._fields == tuple(names.split())
