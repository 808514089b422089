"""Busy unicorns that will be free soon: planned, never claimed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from service.matching.match import match
from service.matching.remaining import RemainingTime
from service.matching.tuning import Tuning
from service.model import FleetEntry, Pairing
from tests.support.builders import NOW
from tests.support.markets import AS_ESTIMATED, HERE, TRAVEL, at, available, busy, paired, waiting


def test_the_time_until_a_unicorn_is_free_counts_towards_the_longest_eta() -> None:
    fleet = [busy("soon", at(-300), HERE, started_ago=50)]
    assert paired([waiting("r", at(231))], fleet) == ({}, {})
    assert paired([waiting("r", at(229))], fleet) == ({}, {"r": "soon"})


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
    [busy("u", at(-360), HERE, started_ago=50), busy("u", at(-100), None, started_ago=50)],
    ids=["busy for longer than plans look ahead", "nobody knows where to"],
)
def test_some_busy_unicorns_cannot_be_planned(entry: FleetEntry) -> None:
    assert paired([waiting("r", HERE)], [entry], Tuning(plan_seconds=300)) == ({}, {})


def test_a_unicorn_that_goes_off_duty_after_its_ride_is_not_planned() -> None:
    entry = busy("u", at(-100), HERE, started_ago=50)
    leaving = replace(entry, unicorn=entry.unicorn.with_availability(False, NOW))
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
    fleet[1] = available("other", at(30))
    assert paired(rides, fleet, plans={"r": "planned"}) == ({"r": "other"}, {})


def test_without_an_equal_distance_a_slightly_nearer_unicorn_takes_no_planned_ride() -> None:
    fleet = [available("planned", at(10), 10), available("nearer", at(5), idle_seconds=900)]
    for equal_metres, sent in ((0, "planned"), (100, "nearer")):
        tuning = Tuning(equal_metres=equal_metres)
        assert paired([waiting("r", HERE)], fleet, tuning, {"r": "planned"})[0] == {"r": sent}


def test_a_rider_with_a_plan_does_not_lose_it_to_one_slightly_nearer() -> None:
    fleet = [busy("soon", at(-100), HERE, started_ago=60)]
    rides = [waiting("planned", at(-60)), waiting("other", at(20))]
    tuning = Tuning(priority_seconds=60, hysteresis_seconds=0)
    assert paired(rides, fleet, tuning, {"planned": "soon"}) == ({}, {"planned": "soon"})
    assert paired(rides, fleet, tuning) == ({}, {"other": "soon"})


def test_a_plan_does_not_outweigh_a_much_longer_wait() -> None:
    rides = [waiting("old", at(379), seconds=481), waiting("planned", at(0))]
    fleet = [busy("soon", at(-100), HERE, started_ago=0)]
    plans = {"planned": "soon"}
    assert paired(rides, fleet, Tuning(deadline_seconds=960), plans) == ({}, {"old": "soon"})


def test_a_nearby_unicorn_is_worth_a_moment_of_waiting() -> None:
    fleet = [available("far", at(100)), busy("soon", at(-110), at(-10), started_ago=0)]
    rides = [waiting("r", HERE)]
    assert paired(rides, fleet, Tuning(driving_weight=0)) == ({"r": "far"}, {})
    assert paired(rides, fleet, Tuning(driving_weight=0.2)) == ({}, {"r": "soon"})


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
