"""Situations in which processes of the service may crash."""

from __future__ import annotations

from dataclasses import replace

from service.core import rides, staff, unicorns
from service.core.rides import RideOrder, ride_id_of
from service.core.sweep import sweep
from service.core.unicorns import Step
from service.matching.zones import zone_of
from service.model import Location, Pairing, RideStatus
from tests.support.builders import a_unicorn
from tests.support.service import PICKUP, Service

NEARBY = Location(PICKUP.latitude + 0.01, PICKUP.longitude)
ORDER = RideOrder(rider_id="rider-1", pickup=PICKUP, dropoff=NEARBY, idempotency_key="key-1")
SECOND = RideOrder(rider_id="rider-2", pickup=PICKUP, idempotency_key="key-2")
RIDE_ID = ride_id_of("rider-1", "key-1")
SECOND_ID = ride_id_of("rider-2", "key-2")
ZONE = zone_of(PICKUP)


def an_empty_city(service: Service) -> None:
    service.fleet.begin_epoch(service.now)


def a_unicorn_on_duty(service: Service, **changes: object) -> None:
    an_empty_city(service)
    service.on_duty(**changes)  # type: ignore[arg-type]


def a_waiting_ride(service: Service) -> None:
    an_empty_city(service)
    rides.request_ride(service.ports, ORDER, service.now)


def a_triggered_ride(service: Service, **changes: object) -> None:
    """A unicorn is there and a round asked for."""
    a_unicorn_on_duty(service, **changes)
    rides.request_ride(service.ports, ORDER, service.now)


def an_offered_ride(service: Service) -> None:
    a_triggered_ride(service, auto_accept=False)
    service.run_published_rounds()


def a_matched_ride(service: Service) -> None:
    a_triggered_ride(service)
    service.run_published_rounds()


def an_arrived_ride(service: Service) -> None:
    a_matched_ride(service)
    unicorns.advance(service.ports, Step.ARRIVE, "u1", RIDE_ID, service.now)


def a_ride_in_progress(service: Service) -> None:
    an_arrived_ride(service)
    unicorns.advance(service.ports, Step.START, "u1", RIDE_ID, service.now)


def a_completed_ride(service: Service) -> None:
    a_ride_in_progress(service)
    unicorns.advance(service.ports, Step.COMPLETE, "u1", RIDE_ID, service.now)


def two_rides_for_one_unicorn(service: Service) -> None:
    a_triggered_ride(service)
    rides.request_ride(service.ports, SECOND, service.now)


def a_second_ride_waiting(service: Service) -> None:
    """The only unicorn is on its way with the first."""
    a_ride_in_progress(service)
    rides.request_ride(service.ports, SECOND, service.now)


def a_taken_unicorn_believed_free(service: Service) -> None:
    a_triggered_ride(service)
    free = service.stored_unicorn()
    service.run_published_rounds()
    service.fleet._states["u1"] = free
    rides.request_ride(service.ports, SECOND, service.now)


def a_returned_ride_believed_new(service: Service) -> None:
    an_offered_ride(service)
    old = service.rides.get(RIDE_ID)
    assert old
    service.on_duty("u2")
    unicorns.advance(service.ports, Step.DECLINE, "u1", RIDE_ID, service.now)
    service.rounds.published.clear()
    new = replace(old, version=1, status=RideStatus.REQUESTED, unicorn=None)
    service.waiting.correct(new)


def an_ended_ride_believed_waiting(service: Service) -> None:
    a_waiting_ride(service)
    waiting = service.rides.get(RIDE_ID)
    assert waiting
    rides.cancel_ride(service.ports, RIDE_ID, "rider-1", None, service.now)
    service.waiting.correct(waiting)
    service.later(1)
    service.on_duty()


def an_ended_ride_waiting_long_after(service: Service) -> None:
    a_waiting_ride(service)
    waiting = service.rides.get(RIDE_ID)
    assert waiting
    rides.cancel_ride(service.ports, RIDE_ID, "rider-1", None, service.now)
    service.waiting.correct(waiting)
    service.later(300)


def a_ride_whose_job_was_lost(service: Service) -> None:
    a_triggered_ride(service)
    service.forget_waiting()
    service.later(2)


def a_new_redis(service: Service) -> None:
    a_triggered_ride(service)
    service.forget_waiting()
    service.fleet.epoch = None
    service.later(2)


def a_ride_past_its_deadline(service: Service) -> None:
    a_waiting_ride(service)
    service.later(181)


def a_planned_ride_past_its_deadline(service: Service) -> None:
    a_ride_past_its_deadline(service)
    lease = service.waiting.take(ZONE)
    assert lease
    lease.begin_round()
    lease.finish_round([Pairing(RIDE_ID, "u1", 60, 500)], None)
    lease.release()


def an_expired_offer(service: Service) -> None:
    an_offered_ride(service)
    service.on_duty("u2")
    service.later(15)


def an_offer_missed_by_the_only_unicorn(service: Service) -> None:
    an_offered_ride(service)
    service.later(15)
    sweep(service.ports, service.now)


def a_silent_unicorn(service: Service) -> None:
    """A second one sends positions."""
    a_matched_ride(service)
    service.later(61)
    service.on_duty("u2")


def a_unicorn_that_drives_away_from_the_only_rider(service: Service) -> None:
    """It is heard of all the time, and nobody else is there."""
    a_matched_ride(service)
    for number in range(1, 5):
        service.later(15)
        service.drives_to(Location(PICKUP.latitude + 0.01 * number, PICKUP.longitude))


def a_unicorn_that_drives_away(service: Service) -> None:
    """Another one stands idle at the pickup."""
    a_unicorn_that_drives_away_from_the_only_rider(service)
    service.on_duty("u2")


def an_outage_between_unicorns_and_api(service: Service) -> None:
    """Nobody is heard of for a while; one of the silent unicorns is gone for good."""
    a_matched_ride(service)
    for number in (2, 3):
        service.on_duty(f"u{number}")
        service.request(f"rider-{number}", idempotency_key="key")
        service.run_published_rounds()
    service.later(61)


def a_late_check_of_a_matched_ride(service: Service) -> None:
    a_matched_ride(service)
    service.later(120)
    service.drives_to(PICKUP)


def a_rider_who_did_not_come(service: Service) -> None:
    an_arrived_ride(service)
    service.later(601)
    service.drives_to(PICKUP)


def a_unicorn_lost_in_progress(service: Service) -> None:
    a_ride_in_progress(service)
    service.later(1900)


def a_check_of_a_ride_in_progress(service: Service) -> None:
    a_ride_in_progress(service)
    service.later(120)
    service.drives_to(NEARBY)


def a_unicorn_off_duty(service: Service) -> None:
    a_waiting_ride(service)
    staff.enroll(service.ports, a_unicorn(), PICKUP, service.now)


def a_unicorn_far_away(service: Service) -> None:
    a_waiting_ride(service)
    service.on_duty(at=Location(41.9, -74.0))
    service.rounds.published.clear()
    service.waiting.marks.clear()


def a_forgotten_unicorn(service: Service) -> None:
    a_unicorn_far_away(service)
    service.fleet.forget_state("u1")
