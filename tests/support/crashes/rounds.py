"""What rounds do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from service.core.claims import Claim, Outcome
from service.matching.zones import zone_of
from service.model.errors import Unavailable
from tests.support.crashes.given import (
    a_returned_ride_believed_new,
    a_second_ride_waiting,
    a_taken_unicorn_believed_free,
    a_triggered_ride,
    an_ended_ride_believed_waiting,
    an_ended_ride_waiting_long_after,
    an_offer_missed_by_the_only_unicorn,
    two_rides_for_one_unicorn,
)
from tests.support.crashes.scenario import Process, scenario
from tests.support.service import PICKUP


@scenario(given=a_triggered_ride)
def a_round_claims(process: Process) -> None:
    process.round()


@scenario(given=lambda service: a_triggered_ride(service, auto_accept=False))
def a_round_offers(process: Process) -> None:
    process.round()


@scenario(given=an_offer_missed_by_the_only_unicorn)
def a_round_offers_again(process: Process) -> None:
    process.round()


@scenario(given=two_rides_for_one_unicorn)
def a_round_claims_for_one_of_two(process: Process) -> None:
    process.round()


@scenario(given=a_second_ride_waiting)
def a_round_plans(process: Process) -> None:
    process.round()


@scenario(given=a_taken_unicorn_believed_free)
def a_round_loses_a_claim_to_another_ride(process: Process) -> None:
    process.round()


@scenario(given=a_returned_ride_believed_new)
def a_round_loses_a_claim_on_an_old_ride(process: Process) -> None:
    process.round()


@scenario(given=an_ended_ride_believed_waiting)
def a_round_loses_a_claim_on_an_ended_ride(process: Process) -> None:
    process.round()


@scenario(given=an_ended_ride_waiting_long_after)
def a_round_forgets_an_overdue_ride(process: Process) -> None:
    process.round()


@scenario(given=a_triggered_ride)
def a_round_fails(process: Process) -> None:
    def fail(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> Iterable[Outcome]:
        raise Unavailable("no claim can be made")

    process.dispatcher = replace(process.dispatcher, commit_all=fail)
    with suppress(Unavailable):
        process.round()


@scenario(given=a_second_ride_waiting)
def a_round_hands_over_to_a_successor(process: Process) -> None:
    def asked_again(
        claim: Callable[[Claim], Outcome], claims: Sequence[Claim]
    ) -> Iterable[Outcome]:
        process.service.waiting.take(zone_of(PICKUP))
        return map(claim, claims)

    ticks = itertools.count(0, 2)
    process.dispatcher = replace(
        process.dispatcher, commit_all=asked_again, monotonic=lambda: float(next(ticks))
    )
    process.round()
