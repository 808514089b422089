"""What rounds, sweeps and the jobs of a zone do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from service.core.claims import Claim, Outcome
from service.core.dead_letters import DEATHS_ALONE
from service.core.learning import learn_from_legs
from service.core.legs import ended_drive
from service.core.moves import Repositioner
from service.core.travel_times import ZoneTimes
from service.core.unicorns import valid_advice
from service.matching.correction import AS_ESTIMATED
from service.matching.quotes import QuotedEta
from service.matching.travel import GreatCircle
from service.model.errors import Unavailable
from tests.support.builders import a_finished_ride
from tests.support.crashes import given
from tests.support.crashes.given import RIDE_ID, ZONE
from tests.support.crashes.scenario import Process, scenario, scenarios
from tests.support.fakes_redis import FakeCorrections
from tests.support.service import Service


def a_ride_for_a_unicorn_that_must_be_asked(service: Service) -> None:
    given.a_triggered_ride(service, auto_accept=False)


def a_suspect(service: Service) -> None:
    """A round with this ride began, and its process died."""
    given.a_triggered_ride(service)
    service.waiting.running[ZONE] = {RIDE_ID}


def a_suspect_nobody_can_take(service: Service) -> None:
    a_suspect(service)
    service.fleet._positions.clear()


def a_proven_suspect(service: Service) -> None:
    a_suspect(service)
    service.waiting.alone[ZONE] = {RIDE_ID: DEATHS_ALONE}


scenarios(
    Process.round,
    a_round_claims=given.a_triggered_ride,
    a_round_offers=a_ride_for_a_unicorn_that_must_be_asked,
    a_round_offers_again=given.an_offer_missed_by_the_only_unicorn,
    a_round_claims_for_one_of_two=given.two_rides_for_one_unicorn,
    a_round_plans=given.a_second_ride_waiting,
    a_round_loses_a_claim_to_another_ride=given.a_taken_unicorn_believed_free,
    a_round_loses_a_claim_on_an_old_ride=given.a_returned_ride_believed_new,
    a_round_loses_a_claim_on_an_ended_ride=given.an_ended_ride_believed_waiting,
    a_round_forgets_an_overdue_ride=given.an_ended_ride_waiting_long_after,
    a_round_tries_a_suspect=a_suspect,
    a_round_tries_a_suspect_in_vain=a_suspect_nobody_can_take,
    a_round_sets_a_ride_aside=a_proven_suspect,
)


@scenario(given=given.a_triggered_ride)
def a_round_fails(process: Process) -> None:
    def fail(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> Iterable[Outcome]:
        raise Unavailable("no claim can be made")

    process.dispatcher = replace(process.dispatcher, commit_all=fail)
    with suppress(Unavailable):
        process.round()


@scenario(given=given.a_second_ride_waiting)
def a_round_hands_over_to_a_successor(process: Process) -> None:
    def asked_again(
        claim: Callable[[Claim], Outcome], claims: Sequence[Claim]
    ) -> Iterable[Outcome]:
        process.service.waiting.take(ZONE)
        return map(claim, claims)

    ticks = itertools.count(0, 2)
    process.dispatcher = replace(
        process.dispatcher, commit_all=asked_again, monotonic=lambda: float(next(ticks))
    )
    process.round()


scenarios(
    Process.sweep,
    a_sweep_finds_a_ride_whose_job_was_lost=given.a_ride_whose_job_was_lost,
    a_sweep_finds_a_new_redis=given.a_new_redis,
    a_sweep_gives_a_ride_up=given.a_ride_past_its_deadline,
    a_sweep_leaves_a_planned_ride_open=given.a_planned_ride_past_its_deadline,
    a_sweep_ends_an_offer=given.an_expired_offer,
    a_sweep_tells_staff_of_a_unicorn_that_drives_away=(
        given.a_unicorn_that_drives_away_from_the_only_rider
    ),
    a_sweep_checks_a_matched_ride=given.a_late_check_of_a_matched_ride,
    a_sweep_ends_a_no_show=given.a_rider_who_did_not_come,
    a_sweep_checks_a_ride_in_progress=given.a_check_of_a_ride_in_progress,
)
scenarios(
    Process.sweep,
    silent=["u1"],
    a_sweep_takes_a_ride_from_a_silent_unicorn=given.a_silent_unicorn,
    a_sweep_takes_a_ride_from_a_unicorn_that_drives_away=given.a_unicorn_that_drives_away,
    a_sweep_leaves_rides_in_an_outage=given.an_outage_between_unicorns_and_api,
    a_sweep_ends_a_ride_whose_unicorn_is_lost=given.a_unicorn_lost_in_progress,
)


@scenario(given=given.a_ride_whose_job_was_lost)
def a_job_learns_travel_times(process: Process) -> None:
    drive = ended_drive(a_finished_ride())
    assert drive
    leg, quote = drive.leg(GreatCircle()), QuotedEta(200.0, 400.0, drive.seconds)
    process.ports.legs.add(ZONE, drive.kind, leg, quote)
    learn_from_legs(process.ports.legs, FakeCorrections(), AS_ESTIMATED, process.now)


@scenario(given=given.a_ride_whose_job_was_lost)
def a_job_tells_unicorns_where_to_wait(process: Process) -> None:
    ports = process.ports
    needed = ports.moves, ports.fleet, ports.control, ports.changes
    times, period = ZoneTimes(GreatCircle()), timedelta(seconds=30)
    Repositioner(*needed, times, None, period).run(ZONE, process.now)
    valid_advice(ports.moves, ports.fleet, process.now)
