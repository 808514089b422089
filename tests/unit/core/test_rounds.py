"""Rounds: one job serves all who wait, and a claim is won once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest

from service.core import rounds
from service.core.claims import Claim, Outcome
from service.core.ports import Nearby, RoundLease, WriteConflict
from service.core.rides import cancel_ride
from service.core.rounds import FAILED_PAUSE_SECONDS, WORK_BUDGET_SECONDS
from service.matching.zones import zone_of
from service.model import Location, Pairing, Ride, RideStatus, Unicorn
from service.model.errors import Unavailable
from tests.support.service import PICKUP, Service

CLOSE_BY = Location(40.7150, -74.0060)


def test_one_job_matches_all_waiting_rides(service: Service) -> None:
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
    service.waiting.add([gone])  # a message from the past
    service.run_published_rounds()
    assert service.stored(gone).status is RideStatus.CANCELED
    assert service.stored(stays).status is RideStatus.MATCHED
    assert gone.ride_id not in service.waiting.rides[gone.zone]


def test_an_entry_is_forgotten_only_when_the_sweep_had_time_to_end_the_ride(
    service: Service,
) -> None:
    ride = service.request()
    service.now = ride.deadline_at + rounds.OVERDUE
    service.dispatcher.run(ride.zone, "")
    assert ride.ride_id in service.waiting.rides[ride.zone]
    service.later(0.001)
    service.dispatcher.run(ride.zone, "")
    assert ride.ride_id not in service.waiting.rides[ride.zone]


def test_a_unicorn_that_another_job_claimed_is_replaced_in_the_same_job(service: Service) -> None:
    won_elsewhere = service.on_duty("u1", PICKUP)
    service.on_duty("u2", CLOSE_BY)
    # The index still believes that u1 is free.
    service.unicorns.save(won_elsewhere, won_elsewhere.with_availability(False, service.now))
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u2"
    assert not service.fleet.entries(["u1"], service.now)["u1"].unicorn.can_take_a_ride


def test_a_claim_that_could_not_be_written_leaves_the_ride_waiting(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    failing = Mock(**{"commit.side_effect": Unavailable("no answer")})
    service.dispatch_with(assignments=failing)
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.REQUESTED
    assert ride.ride_id in service.waiting.rides[ride.zone]
    assert service.waiting.leased == set()


def test_a_job_ends_after_several_lost_claims(service: Service) -> None:
    service.on_duty()
    service.request()

    def lose(ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        raise WriteConflict(unicorn=unicorn[0])

    losing = Mock(**{"commit.side_effect": lose})
    service.dispatch_with(assignments=losing)
    pauses: list[float] = []
    service.dispatcher = replace(service.dispatcher, sleep=pauses.append)
    service.run_published_rounds()
    assert losing.commit.call_count == 4
    assert len(pauses) == 3
    for number, pause in enumerate(pauses, start=1):
        assert 0.005 <= pause <= 0.02 * number
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


def test_a_job_that_finds_the_lease_held_leaves_the_mark_to_the_holder(service: Service) -> None:
    ride = service.request()
    lease = service.waiting.take(ride.zone)
    assert lease
    service.run_published_rounds()
    assert not lease.release_unless_marked(), "the refused job's request for a round was forgotten"
    assert service.waiting.mark([ride.zone]) == [], "another job is published for nothing"


def test_a_round_that_fails_gives_its_lease_back_and_has_a_successor(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    blind = Mock(wraps=service.fleet)
    blind.near.side_effect = Unavailable("Redis is away")
    sound = service.dispatcher
    pauses: list[float] = []
    service.dispatcher = replace(
        sound, ports=replace(service.ports, fleet=blind), sleep=pauses.append
    )
    with pytest.raises(Unavailable):
        service.run_published_rounds()
    assert service.waiting.leased == set()
    assert pauses == [FAILED_PAUSE_SECONDS], "a failure that repeats must not spin"
    service.dispatcher = sound
    service.run_published_rounds()
    assert service.stored(ride).status is RideStatus.MATCHED


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("a defect"), RecursionError()])
def test_no_exception_makes_a_ride_a_suspect(service: Service, error: Exception) -> None:
    """Only a dead process is a crash, however often the exception comes."""
    service.on_duty()
    rides = [service.request(f"rider-{number}") for number in range(3)]
    failing = Mock(wraps=service.fleet)
    failing.near.side_effect = error
    sound = service.dispatcher
    service.dispatcher = replace(sound, ports=replace(service.ports, fleet=failing))
    for _ in range(10):
        with pytest.raises(type(error)):
            service.dispatcher.run(rides[0].zone, "")
    assert not service.waiting.running.get(rides[0].zone)
    assert service.dead_letters.newest(limit=1, start=None).items == ()
    assert {service.stored(ride).status for ride in rides} == {RideStatus.REQUESTED}


def test_a_round_whose_lease_is_gone_writes_nothing(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    other: list[RoundLease] = []

    def taken_over(claim: object, claims: object) -> list[Outcome]:
        service.waiting.expire(ride.zone)
        lease = service.waiting.take(ride.zone)
        assert lease
        lease.begin_round()
        lease.finish_round([Pairing(ride.ride_id, "u9", 60, 400)], None)
        other.append(lease)
        return []

    service.dispatcher = replace(service.dispatcher, commit_all=taken_over)
    service.run_published_rounds()
    plan = service.waiting.plan_of(ride.zone, ride.ride_id)
    assert plan
    assert plan.unicorn_id == "u9", "the successor's plans were overwritten"
    assert service.waiting.leased == {ride.zone}, "the successor's lease was given back"
    assert other[0].release_unless_marked()


def test_claims_that_do_not_fit_the_budget_are_left_to_a_successor(service: Service) -> None:
    for number in range(40):
        service.on_duty(f"u{number:02}")
    rides = [service.request(f"rider-{number}") for number in range(40)]

    def slowly(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> list[Outcome]:
        return [claim(each) for each in claims if service.later(0.05)]

    service.dispatcher = replace(service.dispatcher, commit_all=slowly)
    jobs = 0
    while service.run_published_rounds():
        jobs += 1
        matched = [ride for ride in rides if service.stored(ride).status is RideStatus.MATCHED]
        assert len(matched) <= 20 * jobs, "a job goes on after its time"
    assert len(matched) == 40
    assert service.waiting.leased == set()


def test_slices_that_do_not_fit_the_budget_come_first_in_the_successor(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old riders whom nobody can reach starve nobody."""
    monkeypatch.setattr(rounds, "SLICE_RIDES", 2)
    lonely = [service.request(f"lonely-{n}", pickup=Location(42.0, -74.0)) for n in range(4)]
    zone = lonely[0].zone
    for ride in lonely:
        service.waiting.add([replace(ride, zone=zone_of(PICKUP))])
        service.waiting.discard(zone, [ride.ride_id])
    service.later(1)
    service.on_duty()
    service.waiting.marks.clear()
    service.rounds.published.clear()
    young = service.request()
    slow = Mock(wraps=service.fleet)

    def near(*places: object, **options: object) -> Nearby:
        service.later(WORK_BUDGET_SECONDS)
        return service.fleet.near(*places, **options)  # type: ignore[arg-type]

    slow.near.side_effect = near
    service.dispatch_with(fleet=slow)
    jobs = 0
    while service.stored(young).status is RideStatus.REQUESTED:
        assert service.run_published_rounds(), "no successor"
        jobs += 1
    assert jobs == 3
    service.rounds.published.clear()
    service.waiting.marks.clear()
    service.dispatcher.run(zone_of(PICKUP), "")
    for _ in range(5):
        if not service.run_published_rounds():
            break
    else:
        raise AssertionError("rounds go on though nothing is new")


def test_a_later_slice_gets_the_unicorns_that_earlier_ones_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SLICE_RIDES", 3)
    for number in range(10):
        service.on_duty(f"u{number}")
    rides = [service.request(f"rider-{number}") for number in range(10)]
    assert service.run_published_rounds() == 1
    assert {service.stored(ride).unicorn_id for ride in rides} == {f"u{n}" for n in range(10)}


def test_a_long_round_with_nothing_new_is_not_followed_by_another(service: Service) -> None:
    service.request()
    slow = Mock(wraps=service.fleet)
    slow.near.side_effect = lambda *a, **k: service.later(5) and Nearby(())
    service.dispatch_with(fleet=slow)
    service.run_published_rounds()
    assert service.rounds.published == []
    assert service.waiting.leased == set()


def test_an_entry_without_a_ride_keeps_no_unicorn(service: Service) -> None:
    service.on_duty()
    real = service.request()
    phantom = replace(real, ride_id="phantom", requested_at=service.now - timedelta(hours=1))
    service.waiting.add([phantom])
    service.run_published_rounds()
    assert service.stored(real).status is RideStatus.MATCHED
    assert "phantom" not in service.waiting.rides[real.zone]


def test_a_defect_in_one_claim_does_not_stop_the_others(service: Service) -> None:
    for name in ("u1", "u2"):
        service.on_duty(name)
    poison, healthy = service.request("rider-1"), service.request("rider-2")
    commit = service.ports.assignments.commit

    def stumble(ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        if ride[0].ride_id == poison.ride_id:
            raise AssertionError("a defect")
        commit(ride, unicorn)

    stumbling = Mock(**{"commit.side_effect": stumble})
    service.dispatch_with(assignments=stumbling)
    service.run_published_rounds()
    assert service.stored(healthy).status is RideStatus.MATCHED
    assert service.stored(poison).status is RideStatus.REQUESTED
