"""Rounds one can follow by hand, all along one meridian."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.dispatch.matching import Matching, Tuning, match
from service.core.dispatch.remaining import RemainingTime
from service.core.model import FleetEntry, Location, Pairing, Ride
from tests.builders import NOW
from tests.markets import AS_ESTIMATED, TRAVEL, available, busy, north_of, waiting

HERE = Location(40.7128, -74.0060)
METRES_PER_SECOND = TRAVEL.reach_metres(1)


def at(seconds: float) -> Location:
    """A place so many seconds of driving north of here."""
    return north_of(HERE, seconds * METRES_PER_SECOND)


def paired(
    rides: list[Ride],
    fleet: list[FleetEntry],
    tuning: Tuning | None = None,
    plans: dict[str, str] | None = None,
    remaining: RemainingTime = AS_ESTIMATED,
) -> tuple[dict[str, str], dict[str, str]]:
    """Claims and plans of a round, as ride → unicorn."""
    known = {ride: Pairing(ride, unicorn, 0, 0) for ride, unicorn in (plans or {}).items()}
    matching = match(rides, fleet, known, NOW, tuning or Tuning(), TRAVEL, remaining)
    return _by_ride(matching.claims), _by_ride(matching.plans)


def _by_ride(pairings: tuple[Pairing, ...]) -> dict[str, str]:
    return {pairing.ride_id: pairing.unicorn_id for pairing in pairings}


def test_a_lone_rider_gets_the_nearest_unicorn() -> None:
    fleet = [available("far", at(300)), available("near", at(100))]
    matching = match([waiting("r", HERE)], fleet, {}, NOW, Tuning(), TRAVEL, AS_ESTIMATED)
    assert matching == Matching((Pairing("r", "near", 100, 642),), ())


def test_nothing_comes_of_an_empty_round() -> None:
    assert paired([], [available("u", HERE)]) == ({}, {})
    assert paired([waiting("r", HERE)], []) == ({}, {})


def test_two_riders_share_two_unicorns_the_cheapest_way_in_total() -> None:
    rides = [waiting("r1", at(0)), waiting("r2", at(100))]
    fleet = [available("u1", at(60)), available("u2", at(-300))]
    assert paired(rides, fleet)[0] == {"r1": "u2", "r2": "u1"}


def test_a_unicorn_out_of_reach_is_left_alone() -> None:
    assert paired([waiting("r", HERE)], [available("u", at(481))]) == ({}, {})
    assert paired([waiting("r", HERE)], [available("u", at(479))])[0] == {"r": "u"}


def test_the_time_until_a_unicorn_is_free_counts_towards_the_longest_eta() -> None:
    fleet = [busy("soon", at(-300), HERE, started_ago=50)]
    assert paired([waiting("r", at(231))], fleet) == ({}, {})
    assert paired([waiting("r", at(229))], fleet) == ({}, {"r": "soon"})


def test_a_unicorn_without_a_fresh_position_is_left_alone() -> None:
    silent = replace(available("u", HERE), position=None)
    assert paired([waiting("r", HERE)], [silent]) == ({}, {})


def test_a_unicorn_about_to_finish_nearer_is_planned_not_claimed() -> None:
    fleet = [available("far", at(400)), busy("soon", at(-200), HERE, started_ago=150)]
    assert paired([waiting("r", HERE)], fleet) == ({}, {"r": "soon"})


def test_a_plan_tells_the_remaining_time_and_the_drive() -> None:
    fleet = [busy("soon", at(-200), at(100), started_ago=250)]
    plans = match([waiting("r", HERE)], fleet, {}, NOW, Tuning(), TRAVEL, AS_ESTIMATED).plans
    assert plans == (Pairing("r", "soon", 150, 642),)


def test_a_unicorn_on_its_way_to_another_pickup_is_planned_if_it_will_be_done_soon() -> None:
    approaching = busy("u", at(0), at(100), started_ago=None)
    moved = replace(approaching.position, location=at(-150)) if approaching.position else None
    (plan,) = match(
        [waiting("r", at(100))],
        [replace(approaching, position=moved)],
        {},
        NOW,
        Tuning(),
        TRAVEL,
        AS_ESTIMATED,
    ).plans
    assert plan.pickup_eta_seconds == pytest.approx(250, abs=1)


@pytest.mark.parametrize(
    "entry",
    [
        busy("u", at(-360), HERE, started_ago=50),
        busy("u", at(-100), None, started_ago=50),
    ],
    ids=["busy for longer than plans look ahead", "nobody knows where to"],
)
def test_some_busy_unicorns_cannot_be_planned(entry: FleetEntry) -> None:
    assert paired([waiting("r", HERE)], [entry]) == ({}, {})


def test_a_unicorn_that_goes_off_duty_after_its_ride_is_not_planned() -> None:
    entry = busy("u", at(-100), HERE, started_ago=50)
    leaving = replace(entry, unicorn=entry.unicorn.with_availability(False))
    assert paired([waiting("r", HERE)], [leaving]) == ({}, {})


def test_plans_can_be_turned_off() -> None:
    fleet = [busy("soon", at(-100), HERE, started_ago=90)]
    assert paired([waiting("r", HERE)], fleet, Tuning(plan_seconds=0)) == ({}, {})


def test_a_planned_unicorn_is_claimed_once_it_is_free() -> None:
    fleet = [available("u", HERE)]
    assert paired([waiting("r", HERE)], fleet, plans={"r": "u"}) == ({"r": "u"}, {})


def test_a_plan_is_kept_unless_another_is_clearly_better() -> None:
    fleet = [busy("planned", at(-100), HERE, started_ago=20), available("other", at(60))]
    rides = [waiting("r", HERE)]
    assert paired(rides, fleet, plans={"r": "planned"}) == ({}, {"r": "planned"})
    fleet[1] = available("other", at(40))
    assert paired(rides, fleet, plans={"r": "planned"}) == ({"r": "other"}, {})


def test_a_rider_with_a_plan_does_not_lose_it_to_one_slightly_nearer() -> None:
    fleet = [busy("soon", at(-100), HERE, started_ago=60)]
    rides = [waiting("planned", at(-60)), waiting("other", at(20))]
    tuning = Tuning(priority_seconds=60, hysteresis_seconds=0)
    assert paired(rides, fleet, tuning, {"planned": "soon"}) == ({}, {"planned": "soon"})
    assert paired(rides, fleet, tuning) == ({}, {"other": "soon"})


def test_a_decline_is_remembered() -> None:
    rides = [waiting("r", HERE, excluded=frozenset({"u1"}))]
    assert paired(rides, [available("u1", HERE), available("u2", at(200))])[0] == {"r": "u2"}


def test_a_rider_whose_neighbours_are_all_excluded_or_taken_sees_farther_ones() -> None:
    near = {f"u{n}" for n in range(5)}
    fleet = [available(name, at(10)) for name in near] + [available("far", at(200))]
    rides = [waiting("r", HERE, excluded=frozenset(near))]
    assert paired(rides, fleet, Tuning(neighbours=1))[0] == {"r": "far"}
    crowd = [waiting(f"r{n}", HERE) for n in range(6)]
    assert len(paired(crowd, fleet, Tuning(neighbours=1))[0]) == 6


def test_the_longest_waiting_rider_comes_first_in_the_end() -> None:
    rides = [waiting("old", at(300), seconds=600), waiting("new", at(0))]
    fleet = [available("u", HERE)]
    assert paired(rides, fleet, Tuning(waiting_weight=0))[0] == {"new": "u"}
    assert paired(rides, fleet, Tuning(waiting_weight=1))[0] == {"old": "u"}


def test_a_plan_does_not_outweigh_having_waited_so_much_longer() -> None:
    rides = [waiting("old", at(379), seconds=481), waiting("planned", at(0))]
    fleet = [busy("soon", at(-100), HERE, started_ago=0)]
    plans = {"planned": "soon"}
    assert paired(rides, fleet, Tuning(waiting_weight=1), plans) == ({}, {"old": "soon"})


def test_a_rider_who_is_late_already_gets_the_nearer_unicorn() -> None:
    rides = [waiting("old", at(100), seconds=250), waiting("new", at(90))]
    fleet = [available("near", HERE), available("far", at(300))]
    punctual = Tuning(lateness_weight=2, driving_weight=0)
    assert paired(rides, fleet, punctual)[0] == {"old": "near", "new": "far"}
    indifferent = Tuning(lateness_weight=0, driving_weight=0)
    assert paired(rides, fleet, indifferent)[0] == {"old": "far", "new": "near"}


def test_a_nearby_unicorn_is_worth_a_moment_of_waiting() -> None:
    fleet = [available("far", at(100)), busy("soon", at(-110), at(-10), started_ago=0)]
    rides = [waiting("r", HERE)]
    assert paired(rides, fleet, Tuning(driving_weight=0)) == ({"r": "far"}, {})
    assert paired(rides, fleet, Tuning(driving_weight=0.2)) == ({}, {"r": "soon"})


def test_a_long_idle_unicorn_may_come_from_farther_away() -> None:
    fleet = [available("rested", at(100), idle_seconds=900), available("near", at(50), 10)]
    rides = [waiting("r", HERE)]
    assert paired(rides, fleet, Tuning(idle_weight=0))[0] == {"r": "near"}
    assert paired(rides, fleet, Tuning(idle_weight=0.1))[0] == {"r": "rested"}


def test_a_crowd_above_the_edge_budget_is_served_pass_by_pass() -> None:
    crowd = [waiting(f"r{n:03}", HERE, seconds=n) for n in range(100)]
    fleet = [available(f"u{n:03}", at(n)) for n in range(80)]
    claims, _ = paired(crowd, fleet, Tuning(edge_budget=50, neighbours=4))
    assert len(claims) == len(set(claims.values())) == 80


def test_trips_that_take_longer_than_estimated_are_expected_to_go_on() -> None:
    """Minus twenty seconds left by the estimate; others that took as long took 120 more."""
    remaining = RemainingTime(usual=((100.0,), (1.0,)), left=((0.0, 1.2), (1.0, 1.2)))
    late = busy("late", at(-100), HERE, started_ago=120)
    (plan,) = match([waiting("r", HERE)], [late], {}, NOW, Tuning(), TRAVEL, remaining).plans
    assert plan.pickup_eta_seconds == pytest.approx(120, abs=1)


def test_a_clock_that_runs_behind_does_no_harm() -> None:
    early = waiting("r", HERE, seconds=-60)
    started = busy("soon", at(-100), HERE, started_ago=-60)
    assert paired([early], [started, available("u", at(200))]) == ({}, {"r": "soon"})
    assert timedelta(0) < early.requested_at - NOW
