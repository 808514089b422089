"""What sweeps do."""

from __future__ import annotations

from datetime import timedelta

from service.core.learning import learn_from_legs
from service.core.moves import Repositioner
from service.core.times import ZoneTimes, ended_drive
from service.core.unicorns import valid_advice
from service.matching.correction import AS_ESTIMATED
from service.matching.quotes import QuotedEta
from service.matching.travel import GreatCircle
from service.matching.zones import zone_of
from tests.support.builders import a_finished_ride
from tests.support.crashes.given import (
    a_check_of_a_ride_in_progress,
    a_late_check_of_a_matched_ride,
    a_new_redis,
    a_planned_ride_past_its_deadline,
    a_ride_past_its_deadline,
    a_ride_whose_job_was_lost,
    a_rider_who_did_not_come,
    a_silent_unicorn,
    a_unicorn_lost_in_progress,
    a_unicorn_that_drives_away,
    a_unicorn_that_drives_away_from_the_only_rider,
    an_expired_offer,
    an_outage_between_unicorns_and_api,
)
from tests.support.crashes.scenario import Process, scenario
from tests.support.fakes_redis import FakeCorrections
from tests.support.service import PICKUP


@scenario(given=a_ride_whose_job_was_lost)
def a_sweep_finds_a_ride_whose_job_was_lost(process: Process) -> None:
    process.sweep()


@scenario(given=a_new_redis)
def a_sweep_finds_a_new_redis(process: Process) -> None:
    process.sweep()


@scenario(given=a_ride_past_its_deadline)
def a_sweep_gives_a_ride_up(process: Process) -> None:
    process.sweep()


@scenario(given=a_planned_ride_past_its_deadline)
def a_sweep_leaves_a_planned_ride_open(process: Process) -> None:
    process.sweep()


@scenario(given=an_expired_offer)
def a_sweep_ends_an_offer(process: Process) -> None:
    process.sweep()


@scenario(given=a_silent_unicorn, silent=["u1"])
def a_sweep_takes_a_ride_from_a_silent_unicorn(process: Process) -> None:
    process.sweep()


@scenario(given=a_unicorn_that_drives_away, silent=["u1"])
def a_sweep_takes_a_ride_from_a_unicorn_that_drives_away(process: Process) -> None:
    process.sweep()


@scenario(given=a_unicorn_that_drives_away_from_the_only_rider)
def a_sweep_tells_staff_of_a_unicorn_that_drives_away(process: Process) -> None:
    process.sweep()


@scenario(given=an_outage_between_unicorns_and_api, silent=["u1"])
def a_sweep_leaves_rides_in_an_outage(process: Process) -> None:
    process.sweep()


@scenario(given=a_late_check_of_a_matched_ride)
def a_sweep_checks_a_matched_ride(process: Process) -> None:
    process.sweep()


@scenario(given=a_rider_who_did_not_come)
def a_sweep_ends_a_no_show(process: Process) -> None:
    process.sweep()


@scenario(given=a_unicorn_lost_in_progress, silent=["u1"])
def a_sweep_ends_a_ride_whose_unicorn_is_lost(process: Process) -> None:
    process.sweep()


@scenario(given=a_check_of_a_ride_in_progress)
def a_sweep_checks_a_ride_in_progress(process: Process) -> None:
    process.sweep()


@scenario(given=a_ride_whose_job_was_lost)
def a_job_learns_travel_times(process: Process) -> None:
    drive = ended_drive(a_finished_ride())
    assert drive
    leg, quote = drive.leg(GreatCircle()), QuotedEta(200.0, 400.0, drive.seconds)
    process.ports.legs.add(zone_of(PICKUP), drive.kind, leg, quote)
    learn_from_legs(process.ports.legs, FakeCorrections(), AS_ESTIMATED, process.now)


@scenario(given=a_ride_whose_job_was_lost)
def a_job_tells_unicorns_where_to_wait(process: Process) -> None:
    ports = process.ports
    needed = ports.moves, ports.fleet, ports.pauses, ports.changes
    times, period, zone = ZoneTimes(GreatCircle()), timedelta(seconds=30), zone_of(PICKUP)
    Repositioner(*needed, times, None, period).run(zone, process.now)
    valid_advice(ports.moves, ports.fleet, process.now)
