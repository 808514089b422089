"""What unicorns and their admins do."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from service.core import positions, staff, unicorns, watch
from service.core.transition import stored_unicorn
from service.core.unicorns import Step
from service.core.watch import Wait
from service.model import Position
from service.model.errors import TooFarAway
from tests.support.builders import a_unicorn
from tests.support.crashes.given import (
    NEARBY,
    RIDE_ID,
    a_forgotten_unicorn,
    a_matched_ride,
    a_ride_in_progress,
    a_second_ride_waiting,
    a_unicorn_far_away,
    a_unicorn_off_duty,
    a_waiting_ride,
    an_arrived_ride,
    an_offered_ride,
)
from tests.support.crashes.scenario import Process, a_second_each, scenario, scenarios
from tests.support.service import PICKUP

scenarios(lambda process: process.advance(Step.ACCEPT), an_offer_is_accepted=an_offered_ride)
scenarios(lambda process: process.advance(Step.DECLINE), an_offer_is_declined=an_offered_ride)
scenarios(lambda process: process.advance(Step.ARRIVE), a_unicorn_arrives=a_matched_ride)
scenarios(lambda process: process.advance(Step.START), a_ride_is_started=an_arrived_ride)
scenarios(
    lambda process: process.advance(Step.COMPLETE),
    a_ride_is_completed=a_ride_in_progress,
    a_ride_is_completed_while_another_waits=a_second_ride_waiting,
)


@scenario(given=a_matched_ride)
def a_unicorn_arrives_elsewhere(process: Process) -> None:
    elsewhere = Position(NEARBY, process.now)
    with suppress(TooFarAway):
        unicorns.advance(process.ports, Step.ARRIVE, "u1", RIDE_ID, process.now, elsewhere)


@scenario(given=a_unicorn_off_duty)
def a_unicorn_goes_on_duty(process: Process) -> object:
    return unicorns.set_availability(process.ports, "u1", True, process.now)


@scenario(given=a_matched_ride)
def a_unicorn_goes_off_duty_during_a_ride(process: Process) -> object:
    return unicorns.set_availability(process.ports, "u1", False, process.now)


@scenario(given=an_offered_ride)
def a_unicorn_goes_off_duty_with_an_offer(process: Process) -> object:
    return unicorns.set_availability(process.ports, "u1", False, process.now)


@scenario(given=an_offered_ride)
def a_unicorn_is_amended_with_an_offer(process: Process) -> object:
    return staff.amend(process.ports, "u1", {}, False, process.now, lambda _: True)


@scenario(given=a_unicorn_far_away)
def a_unicorn_enters_a_zone(process: Process) -> object:
    position = Position(PICKUP, process.now + timedelta(seconds=1))
    return positions.record_position(process.ports, "u1", position, process.now)


@scenario(given=a_forgotten_unicorn)
def a_forgotten_unicorn_reports_its_position(process: Process) -> object:
    position = Position(PICKUP, process.now + timedelta(seconds=1))
    return positions.record_position(process.ports, "u1", position, process.now)


@scenario(given=a_waiting_ride)
def a_unicorn_is_enrolled(process: Process) -> object:
    unicorn = a_unicorn(account_sub="driver-1")
    return staff.enroll(process.ports, unicorn, PICKUP, process.now)


@scenario(given=a_matched_ride)
def a_unicorn_looks_and_waits(process: Process) -> object:
    ports = process.ports
    process.service.unicorns._accounts["driver-1"] = "u1"
    unicorn = stored_unicorn(ports, unicorns.record_call(ports, "driver-1", process.now))
    both = unicorns.with_ride(ports, unicorn, process.now)
    process.service.fleet._positions.clear()
    unicorns.view(ports, unicorn, process.now)
    clock = lambda: process.now  # noqa: E731
    return watch.wait_for_unicorn(ports, both, lambda _: False, 1.5, clock, a_second_each(), Wait())


@scenario(given=a_matched_ride)
def a_unicorn_reports_where_it_was_long_ago(process: Process) -> object:
    position = Position(PICKUP, process.now - timedelta(hours=2))
    return positions.record_position(process.ports, "u1", position, process.now)
