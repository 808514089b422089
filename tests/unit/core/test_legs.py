"""A zone learns travel times from completed rides; rounds and riders then get the learned times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from service.core import staff
from service.core.estimates import estimate
from service.core.learning import learn_from_legs
from service.core.legs import ended_drive, travel_times_reports
from service.core.rides import cancel_ride
from service.core.travel_times import NEW_YORK, ZoneTimes
from service.core.unicorns import Step
from service.core.watch import live_view
from service.matching.correction import (
    AS_ESTIMATED,
    Correction,
    Drives,
    Kind,
    Leg,
    drives_between,
    hour_of_week,
)
from service.matching.quotes import QuotedEta
from service.matching.travel import FloatArray, GreatCircle, seconds_between
from service.matching.zones import zone_of
from service.model import Location, Ride
from tests.support.builders import NOW, a_finished_ride
from tests.support.fakes_redis import FakeCorrections
from tests.support.service import PICKUP, Service
from tests.unit.matching.test_learning import legs_of

ZONE = zone_of(PICKUP)
NEARBY = Location(PICKUP.latitude + 0.005, PICKUP.longitude)
DROPOFF = Location(PICKUP.latitude + 0.02, PICKUP.longitude)
TWICE = Correction(by_distance=(0.6931,) * 7, spread=0.5)


def knows(service: Service, *learned: Kind, prior: Correction = AS_ESTIMATED) -> None:
    corrections = FakeCorrections()
    for kind in learned:
        corrections.put(ZONE, kind, TWICE)
    service.on_routes(ZoneTimes(GreatCircle(), corrections, prior))


def driven(service: Service) -> Ride:
    service.on_duty(at=NEARBY)
    ride = service.request(dropoff=DROPOFF)
    service.run_published_rounds()
    for step, seconds in ((Step.ARRIVE, 200), (Step.START, 30), (Step.COMPLETE, 600)):
        service.later(seconds)
        service.drives_to(PICKUP if step is not Step.COMPLETE else DROPOFF)
        ride = service.takes(ride, step)
    return ride


def test_riders_are_told_the_etas_that_rounds_decide_by_once_a_zone_has_learned(
    service: Service,
) -> None:
    start, end = np.array([[40.7, -74.0]]), np.array([[40.72, -74.0]])
    nothing = np.empty((0, 2))
    for learned, factor in (((Kind.PICKUP,), 1.0), ((), TWICE.factors(drive(start, end))[0])):
        knows(service, *learned, prior=TWICE)
        told = service.ports.times.rider_factors(ZONE, start, end, NOW)
        assert list(told) == [pytest.approx(factor)]
        assert len(service.ports.times.rider_factors(ZONE, nothing, nothing, NOW)) == 0


def drive(start: FloatArray, end: FloatArray) -> Drives:
    return drives_between(start, end, hour_of_week(NOW.timestamp()))


def test_a_completed_ride_leaves_both_of_its_legs(service: Service) -> None:
    driven(service)
    (pickup,) = service.legs.recent(ZONE, Kind.PICKUP)
    (trip,) = service.legs.recent(ZONE, Kind.TRIP)
    assert (pickup.seconds, trip.seconds) == (200, 600)
    assert pickup.metres == pytest.approx(556, rel=0.01)
    assert trip.estimated == pytest.approx(seconds_between(GreatCircle(), PICKUP, DROPOFF), abs=1)
    assert pickup.unicorn_id == "u1"


def metres_north(metres: float) -> Location:
    return Location(PICKUP.latitude + metres / 111_195, PICKUP.longitude)


@pytest.mark.parametrize(
    ("places", "tap", "taught"),
    [
        # metres from the pickup after so many seconds; when the driver says that it has arrived
        ({60: 300, 120: 40, 180: 10}, 190, [120]),
        ({60: 300, 120: 51, 180: 49}, 180, [180]),
        ({60: 300, 120: 0}, 1, [120]),  # a driver who taps at once, 500 m early
        ({60: 300, 100: 45, 130: 200, 160: 20}, 160, [100]),  # once around the block
        ({60: 300, 120: 80}, 120, []),  # never seen at the pickup
        ({}, 30, []),
    ],
)
def test_a_pickup_leg_ends_at_the_first_position_at_the_pickup_whatever_the_driver_taps(
    service: Service, places: dict[int, int], tap: int, taught: list[int]
) -> None:
    ride = service.matched(at=metres_north(499))
    for second in range(1, 200):
        service.later(1)
        if second in places:
            service.drives_to(metres_north(places[second]))
        if second == tap:
            service.takes(ride, Step.ARRIVE)
    service.takes(ride, Step.START)
    assert [leg.seconds for leg in service.legs.recent(ZONE, Kind.PICKUP)] == taught


def test_a_leg_holds_cells_and_no_coordinates() -> None:
    drive = ended_drive(a_finished_ride())
    assert drive
    leg = drive.leg(GreatCircle())
    assert not {str(drive.start.latitude), str(drive.end.latitude)} & set(map(str, leg))
    assert len(leg.origin) == len(leg.destination) == 15


@pytest.mark.parametrize(("metres", "is_taught"), [(None, True), (500, True), (501, False)])
def test_a_trip_that_ends_far_from_its_dropoff_teaches_nothing(
    metres: int | None, is_taught: bool
) -> None:
    ride = replace(a_finished_ride(), completed_distance_metres=metres)
    assert (ended_drive(ride) is not None) == is_taught


def test_a_trip_without_dropoff_teaches_nothing() -> None:
    assert ended_drive(a_finished_ride(dropoff=None)) is None


def test_a_drive_is_recorded_with_the_eta_that_its_rider_was_told(service: Service) -> None:
    ride = driven(service)
    (pickup,) = service.legs.quotes(ZONE, Kind.PICKUP)
    assert pickup == (ride.pickup_eta_seconds, ride.pickup_eta_latest_seconds, 200)
    (trip,) = service.legs.quotes(ZONE, Kind.TRIP)
    assert trip.told == round(seconds_between(GreatCircle(), PICKUP, DROPOFF))
    assert trip.latest == pytest.approx(trip.told * AS_ESTIMATED.latest_factor, abs=1)
    assert trip.took == 600


def take_back(service: Service, ride: Ride) -> None:
    staff.reassign_ride(service.ports, ride.ride_id, service.now)


def cancel(service: Service, ride: Ride) -> None:
    cancel_ride(service.ports, ride.ride_id, ride.rider_id, None, service.now)


@pytest.mark.parametrize("give_up", [take_back, cancel])
@pytest.mark.parametrize(("after", "late"), [(0, 0), (1, 1)])
def test_a_ride_given_up_after_its_latest_eta_counts_as_late(
    service: Service, give_up: Callable[[Service, Ride], None], after: int, late: int
) -> None:
    ride = service.matched(at=NEARBY)
    assert ride.pickup_eta_latest_seconds
    service.later(ride.pickup_eta_latest_seconds + after)
    give_up(service, ride)
    quotes = service.legs.quotes(ZONE, Kind.PICKUP)
    assert [quote.was_in_time for quote in quotes] == [False] * late


def test_staff_sees_how_accurate_etas_are(service: Service) -> None:
    driven(service)
    pickup, trip = travel_times_reports(service.ports)
    assert (pickup.zone, pickup.kind, pickup.is_learned) == (ZONE, Kind.PICKUP, False)
    assert (pickup.legs, pickup.kept.quotes, trip.kept.quotes) == (1, 1, 1)
    (quote,) = service.legs.quotes(ZONE, Kind.PICKUP)
    assert pickup.kept.median_ratio == quote.told / 200


def test_only_the_zone_of_the_legs_learns_from_them() -> None:
    service, learned = Service(), FakeCorrections()
    now = NOW.timestamp()
    for leg in legs_of(800, factor=1.3):
        moved = leg._replace(started=leg.started - 100_000.0 + now)
        service.legs.add(ZONE, Kind.PICKUP, moved, QuotedEta(200.0, 400.0, leg.seconds))
    assert learn_from_legs(service.legs, learned, AS_ESTIMATED, NOW) == 1
    assert learned.learned.keys() == {(ZONE, Kind.PICKUP)}


def test_legs_of_one_kind_teach_nothing_about_the_other() -> None:
    times = ZoneTimes(GreatCircle(), FakeCorrections())
    assert times.for_pairing(ZONE, NOW) is times.base


def test_until_a_zone_has_learned_rounds_use_the_base_and_riders_are_told_the_prior(
    service: Service,
) -> None:
    knows(service, prior=NEW_YORK)
    ride = service.matched(at=NEARBY)
    decided = seconds_between(GreatCircle(), NEARBY, PICKUP)
    assert ride.pickup_eta_seconds
    assert ride.pickup_eta_latest_seconds
    # 353 s × 0.556 ** 0.58: short drives cost more than their metres.
    assert ride.pickup_eta_seconds == pytest.approx(251, abs=6)
    assert ride.pickup_eta_seconds > 1.5 * decided
    assert ride.pickup_eta_latest_seconds > 1.5 * ride.pickup_eta_seconds


def test_riders_are_told_the_learned_times_and_the_latest_ones(service: Service) -> None:
    knows(service, Kind.PICKUP, Kind.TRIP)
    service.on_duty(at=NEARBY)
    told = estimate(service.ports, PICKUP, DROPOFF, service.now)
    plain = GreatCircle()
    assert told.pickup_eta_seconds == pytest.approx(2 * seconds_between(plain, NEARBY, PICKUP), 0.1)
    assert told.trip_seconds == pytest.approx(2 * seconds_between(plain, PICKUP, DROPOFF), 0.02)
    assert told.pickup_eta_seconds
    assert told.trip_seconds
    assert told.pickup_eta_latest_seconds == pytest.approx(1.9 * told.pickup_eta_seconds, 0.02)
    assert told.trip_latest_seconds == pytest.approx(1.9 * told.trip_seconds, 0.02)


def test_a_round_leaves_out_a_unicorn_that_is_too_far_by_learned_times(service: Service) -> None:
    at = Location(PICKUP.latitude + 0.013, PICKUP.longitude)  # 309 s by straight line
    knows(service, Kind.PICKUP)
    service.on_duty(at=at)
    ride = service.request()
    service.run_published_rounds()
    stored = service.rides.get(ride.ride_id)
    assert stored
    assert stored.unicorn_id is None


def test_the_live_view_has_the_latest_eta(service: Service) -> None:
    ride = service.matched(at=NEARBY)
    view = live_view(
        service.ports, service.ports.pickup_etas, ride, service.now + timedelta(seconds=1)
    )
    assert view.pickup_eta_seconds
    assert view.pickup_eta_latest_seconds
    assert view.pickup_eta_latest_seconds > view.pickup_eta_seconds


def test_a_rider_with_a_plan_is_told_the_same_times_as_one_with_a_unicorn(service: Service) -> None:
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


def test_a_leg_keeps_its_fields_in_order() -> None:
    # They are stored as a list: an order that changes would be read as something else.
    names = "origin destination metres bearing estimated started seconds unicorn_id"
    assert Leg._fields == tuple(names.split())
