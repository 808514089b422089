"""Rounds: one job serves all who wait, and a claim is won once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest

from service.core.ports import WriteConflict
from service.core.rides import cancel_ride
from service.core.rounds import WORK_BUDGET_SECONDS
from service.model import (
    Location,
    Ride,
    RideStatus,
    Unicorn,
)
from service.model.errors import Unavailable
from tests.unit.core.conftest import PICKUP, Service

CLOSE_BY = Location(40.7150, -74.0060)


def test_one_job_matches_everybody_who_waits(service: Service) -> None:
    for number in range(5):
        service.on_duty(f"u{number}")
    rides = [service.request(f"rider-{number}") for number in range(5)]
    assert service.run_published_rounds() == 1
    assert {service.stored(ride).unicorn_id for ride in rides} == {f"u{n}" for n in range(5)}


def test_the_nearest_unicorn_is_sent(service: Service) -> None:
    service.on_duty("far", Location(40.7250, -74.0060))
    service.on_duty("near", CLOSE_BY)
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "near"


def test_a_ride_that_was_canceled_meanwhile_leaves_its_unicorn_to_the_next(
    service: Service,
) -> None:
    service.on_duty()
    gone, stays = service.request("rider-1"), service.request("rider-2", pickup=CLOSE_BY)
    cancel_ride(service.ports, gone.ride_id, "rider-1", None, service.now)
    service.waiting.add(gone)  # a message from the past
    service.run_published_rounds()
    assert service.stored(gone).status is RideStatus.CANCELED
    assert service.stored(stays).status is RideStatus.MATCHED
    assert gone.ride_id not in service.waiting.rides[gone.zone]


def test_an_entry_whose_ride_ended_long_ago_is_forgotten(service: Service) -> None:
    ride = service.request()
    service.later(300)
    service.run_published_rounds()
    assert ride.ride_id not in service.waiting.rides[ride.zone]


def test_a_unicorn_that_was_won_elsewhere_is_replaced_in_the_same_job(service: Service) -> None:
    won_elsewhere = service.on_duty("u1", PICKUP)
    service.on_duty("u2", CLOSE_BY)
    # The index still believes that u1 is free.
    service.unicorns.save(won_elsewhere, won_elsewhere.with_availability(False))
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    assert not service.fleet.entries(["u1"], service.now)["u1"].unicorn.can_take_a_ride


def test_a_claim_that_could_not_be_written_leaves_the_ride_waiting(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    failing = Mock(**{"commit.side_effect": Unavailable("no answer")})
    service.dispatcher = replace(
        service.dispatcher, ports=replace(service.ports, assignments=failing)
    )
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED
    assert ride.ride_id in service.waiting.rides[ride.zone]
    assert service.waiting.leased == set()


def test_claims_lost_again_and_again_end_the_job(service: Service) -> None:
    service.on_duty()
    service.request()

    def lose(ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        raise WriteConflict(unicorn=unicorn[0])

    losing = Mock(**{"commit.side_effect": lose})
    service.dispatcher = replace(
        service.dispatcher, ports=replace(service.ports, assignments=losing)
    )
    service.run_published_rounds()
    assert losing.commit.call_count == 4
    assert service.waiting.leased == set()


def test_a_job_over_its_budget_hands_over_to_a_successor(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    lose = Mock(**{"commit.side_effect": WriteConflict(ride=service.stored(ride))})
    service.dispatcher = replace(
        service.dispatcher,
        ports=replace(service.ports, assignments=lose),
        sleep=lambda _: service.later(WORK_BUDGET_SECONDS) and None,
    )
    service.run_published_rounds()
    assert [zone for zone, _ in service.rounds.published] == [ride.zone]
    assert service.waiting.leased == set()


def test_a_second_job_of_a_zone_does_nothing_but_ask_for_another_round(service: Service) -> None:
    ride = service.request()
    lease = service.waiting.take(ride.zone)
    assert lease
    service.run_published_rounds()
    assert ride.zone in service.waiting.again
    assert not lease.leave()


@pytest.mark.parametrize("window", [0.0, 0.25])
def test_the_window_is_waited_once_before_the_first_round(service: Service, window: float) -> None:
    sleeps: list[float] = []
    service.dispatcher = replace(service.dispatcher, window_seconds=window, sleep=sleeps.append)
    service.on_duty()
    service.request()
    service.run_published_rounds()
    assert sleeps == ([window] if window else [])


def test_a_round_that_fails_gives_its_lease_back(service: Service) -> None:
    service.on_duty()
    service.request()
    blind = Mock(wraps=service.fleet)
    blind.near.side_effect = Unavailable("Redis is away")
    service.dispatcher = replace(service.dispatcher, ports=replace(service.ports, fleet=blind))
    with pytest.raises(Unavailable):
        service.run_published_rounds()
    assert service.waiting.leased == set()


def test_a_long_round_with_nothing_new_is_not_followed_by_another(service: Service) -> None:
    service.request()
    slow = Mock(wraps=service.fleet)
    slow.near.side_effect = lambda *a, **k: service.later(5) and ()
    service.dispatcher = replace(service.dispatcher, ports=replace(service.ports, fleet=slow))
    service.run_published_rounds()
    assert service.rounds.published == []
    assert service.waiting.leased == set()


def test_an_entry_without_a_ride_leaves_its_unicorn_to_a_real_one(service: Service) -> None:
    service.on_duty()
    real = service.request()
    phantom = replace(real, ride_id="phantom", requested_at=service.now - timedelta(hours=1))
    service.waiting.add(phantom)
    service.run_published_rounds()
    assert service.stored(real).status is RideStatus.MATCHED
    assert "phantom" not in service.waiting.rides[real.zone]


def test_a_defect_in_one_claim_costs_the_others_nothing(service: Service) -> None:
    for name in ("u1", "u2"):
        service.on_duty(name)
    poison, healthy = service.request("rider-1"), service.request("rider-2")
    commit = service.ports.assignments.commit

    def stumble(ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        if ride[0].ride_id == poison.ride_id:
            raise AssertionError("a defect")
        commit(ride, unicorn)

    stumbling = Mock(**{"commit.side_effect": stumble})
    service.dispatcher = replace(
        service.dispatcher, ports=replace(service.ports, assignments=stumbling)
    )
    service.run_published_rounds()
    assert service.stored(healthy).status is RideStatus.MATCHED
    assert service.stored(poison).status is RideStatus.REQUESTED
