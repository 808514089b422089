"""What operators and telemetry gateways do."""

from __future__ import annotations

from datetime import timedelta

from service.core import (
    dead_letters,
    erasure,
    estimates,
    legs,
    photos,
    positions,
    reconcile,
    rides,
    staff,
)
from service.core.positions import Report
from service.matching.correction import Kind
from service.model import Position
from service.model.errors import PhotoNotFound
from tests.support.crashes.given import (
    NEARBY,
    RIDE_ID,
    ZONE,
    a_completed_ride,
    a_forgotten_unicorn,
    a_matched_ride,
    a_second_ride_waiting,
    a_triggered_ride,
    a_unicorn_off_duty,
    a_waiting_ride,
)
from tests.support.crashes.scenario import Process, scenario
from tests.support.fakes_photos import FakePhotos
from tests.support.service import PICKUP, Service


def a_promise_that_was_kept(service: Service) -> None:
    service.legs.kept_quotes[ZONE, Kind.PICKUP] = []


def a_ride_set_aside(service: Service) -> None:
    a_waiting_ride(service)
    ride = service.rides.get(RIDE_ID)
    assert ride
    dead_letters.set_aside_ride(service.ports, service.ports.dead_letters, ride, service.now)
    service.later(1)
    service.on_duty()


def a_paused_zone(service: Service) -> None:
    a_triggered_ride(service)
    service.control.set_paused(ZONE, True)


def a_ride_that_cannot_be_read(service: Service) -> None:
    a_completed_ride(service)
    service.rides.spoil(RIDE_ID)


@scenario(given=a_ride_set_aside)
def a_ride_is_replayed(process: Process) -> object:
    return dead_letters.replay(
        process.ports, process.ports.dead_letters, f"ride-{RIDE_ID}", process.now
    )


@scenario(given=a_matched_ride)
def a_ride_is_canceled_by_an_admin(process: Process) -> object:
    return staff.cancel_as_admin(process.ports, RIDE_ID, "closed", process.now)


@scenario(given=a_matched_ride)
def a_ride_is_reassigned(process: Process) -> object:
    return staff.reassign_ride(process.ports, RIDE_ID, process.now)


@scenario(given=a_completed_ride)
def a_unicorn_is_removed(process: Process) -> None:
    staff.remove_unicorn(process.ports, "u1", process.now)


@scenario(given=a_unicorn_off_duty)
def a_unicorn_is_amended(process: Process) -> object:
    return staff.amend(
        process.ports, "u1", {"name": "Rocinante"}, True, process.now, lambda _: True
    )


@scenario(given=a_paused_zone)
def a_zone_is_resumed(process: Process) -> object:
    return staff.set_pause(process.ports, ZONE, False, process.now)


@scenario(given=a_triggered_ride)
def everything_is_paused(process: Process) -> object:
    return staff.set_pause(process.ports, None, True, process.now)


@scenario(given=a_forgotten_unicorn)
def positions_come_in_bulk(process: Process) -> object:
    position = Position(PICKUP, process.now + timedelta(seconds=1))
    reports = [Report("u1", position), Report("nobody", position)]
    return positions.record_positions(process.ports, reports, process.now)


@scenario(given=a_triggered_ride)
def people_look_around(process: Process) -> object:
    ports, now = process.ports, process.now
    estimates.estimate(ports, PICKUP, NEARBY, now)
    estimates.nearby(ports, PICKUP, now)
    return rides.own_ride(ports, RIDE_ID, "rider-1")


@scenario(given=a_promise_that_was_kept)
def staff_looks_at_what_was_promised(process: Process) -> object:
    return legs.travel_times_reports(process.ports)


@scenario(given=a_matched_ride)
def a_driver_asks_for_the_photo_of_a_rider_who_has_none(process: Process) -> object:
    try:
        return photos.photo_of_rider(process.ports, FakePhotos(), "u1", RIDE_ID)
    except PhotoNotFound as none:
        return type(none)


@scenario(given=a_completed_ride)
def a_rider_is_forgotten(process: Process) -> object:
    return erasure.erase_rider(
        process.ports.rides, process.ports.dead_letters, "rider-1", process.now
    )


@scenario(given=a_ride_that_cannot_be_read)
def the_rider_of_an_unreadable_ride_is_forgotten(process: Process) -> object:
    return erasure.erase_rider(
        process.ports.rides, process.ports.dead_letters, "rider-1", process.now
    )


@scenario(given=a_second_ride_waiting)
def an_operator_reconciles(process: Process) -> object:
    fleet = process.service.unicorns.all()
    return reconcile.reconcile(process.ports, fleet, process.now, 1000)
