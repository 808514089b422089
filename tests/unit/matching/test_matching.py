"""Small rounds along one meridian, whose best pairs are known."""

from __future__ import annotations

import random
from dataclasses import replace

from service.matching.match import Matching, match
from service.matching.tuning import Tuning
from service.model import Location, Pairing
from tests.support.builders import NOW
from tests.support.markets import (
    AS_ESTIMATED,
    HERE,
    TRAVEL,
    Round,
    at,
    available,
    busy,
    paired,
    waiting,
)


def test_a_lone_rider_gets_the_nearest_unicorn() -> None:
    fleet = [available("far", at(300)), available("near", at(100))]
    matching = match([waiting("r", HERE)], fleet, {}, NOW, Tuning(), TRAVEL, AS_ESTIMATED)
    assert matching == Matching((Pairing("r", "near", 100, 642),), ())


def test_an_empty_round_makes_no_pair() -> None:
    assert paired([], [available("u", HERE)]) == ({}, {})
    assert paired([waiting("r", HERE)], []) == ({}, {})


def test_two_riders_share_two_unicorns_the_cheapest_way_in_total() -> None:
    rides = [waiting("r1", at(0)), waiting("r2", at(100))]
    fleet = [available("u1", at(60)), available("u2", at(-300))]
    assert paired(rides, fleet)[0] == {"r1": "u2", "r2": "u1"}


def test_a_unicorn_out_of_reach_is_left_alone() -> None:
    assert paired([waiting("r", HERE)], [available("u", at(481))]) == ({}, {})
    assert paired([waiting("r", HERE)], [available("u", at(479))])[0] == {"r": "u"}


def test_a_unicorn_without_a_fresh_position_is_left_alone() -> None:
    silent = replace(available("u", HERE), position=None)
    assert paired([waiting("r", HERE)], [silent]) == ({}, {})


def test_an_excluded_unicorn_is_not_paired() -> None:
    rides = [waiting("r", HERE, excluded=frozenset({"u1"}))]
    assert paired(rides, [available("u1", HERE), available("u2", at(200))])[0] == {"r": "u2"}


def test_a_rider_whose_neighbours_are_all_excluded_or_taken_sees_farther_ones() -> None:
    near = {f"u{n}" for n in range(5)}
    fleet = [available(name, at(10)) for name in near] + [available("far", at(200))]
    rides = [waiting("r", HERE, excluded=frozenset(near))]
    assert paired(rides, fleet, Tuning(neighbours=1))[0] == {"r": "far"}
    crowd = [waiting(f"r{n}", HERE) for n in range(6)]
    assert len(paired(crowd, fleet, Tuning(neighbours=1))[0]) == 6


def test_a_rider_who_loses_a_unicorn_to_a_wider_search_searches_wider_too() -> None:
    crowd = [*(waiting(f"r{n}", HERE) for n in range(5)), waiting("r5", at(281))]
    fleet = [available(f"u{n}", HERE) for n in range(5)]
    fleet.append(busy("u5", HERE, at(140.6), started_ago=None))
    claims, plans = paired(crowd, fleet, Tuning(neighbours=1))
    assert len(claims | plans) == 6


def test_the_longest_waiting_rider_comes_first_in_the_end() -> None:
    rides = [waiting("old", at(300), seconds=600), waiting("new", at(0))]
    fleet = [available("u", HERE)]
    assert paired(rides, fleet, Tuning(deadline_seconds=1e9))[0] == {"new": "u"}
    assert paired(rides, fleet)[0] == {"old": "u"}


def test_a_rider_at_the_edge_of_reach_goes_before_one_who_came_half_a_deadline_later() -> None:
    """The scene of five unicorns at a busy stand, reduced to the one that is free now."""
    fleet = [available("u", HERE)]
    for waited, served in ((179, "far"), (91, "far"), (1, "near")):
        rides = [waiting("far", at(427), seconds=waited), waiting("near", HERE)]
        assert paired(rides, fleet)[0] == {served: "u"}


def test_a_rider_who_is_late_already_gets_the_nearer_unicorn() -> None:
    rides = [waiting("old", at(100), seconds=250), waiting("new", at(90))]
    fleet = [available("near", HERE), available("far", at(300))]
    punctual = Tuning(lateness_weight=2, driving_weight=0)
    assert paired(rides, fleet, punctual)[0] == {"old": "near", "new": "far"}
    indifferent = Tuning(lateness_weight=0, driving_weight=0)
    assert paired(rides, fleet, indifferent)[0] == {"old": "far", "new": "near"}


def test_every_rider_with_a_free_unicorn_in_reach_gets_one_whatever_driving_costs() -> None:
    rides = [waiting("r1", at(0)), waiting("r2", at(10))]
    fleet = [available("u1", at(400)), available("u2", at(420))]
    assert len(paired(rides, fleet, Tuning(driving_weight=3))[0]) == 2


def test_among_equally_near_unicorns_the_one_that_waited_longest_goes() -> None:
    rides = [waiting("r", HERE)]
    fleet = [available("near", at(50), 10), available("rested", at(50 + 21), idle_seconds=900)]
    assert paired(rides, fleet)[0] == {"r": "rested"}
    fleet[1] = available("rested", at(50 + 22), idle_seconds=900)
    assert paired(rides, fleet)[0] == {"r": "near"}, "more than 100 m farther is not equal"
    assert paired(rides, fleet, Tuning(equal_metres=200))[0] == {"r": "rested"}


def test_the_longest_waiting_of_a_long_row_goes_however_many_are_nearer() -> None:
    """It goes although more unicorns stand nearer than `neighbours`."""
    fleet = [available(f"u{n}", at(n / 10), idle_seconds=n) for n in range(60)]
    assert paired([waiting("r", HERE)], fleet, Tuning(neighbours=4))[0] == {"r": "u59"}


def test_a_crowd_gets_those_of_a_row_that_waited_longest() -> None:
    crowd = [waiting(f"r{n}", HERE) for n in range(20)]
    fleet = [available(f"u{n}", at(n / 10), idle_seconds=n) for n in range(60)]
    claims, _ = paired(crowd, fleet, Tuning(neighbours=4))
    assert set(claims.values()) == {f"u{n}" for n in range(40, 60)}


def test_a_longer_idle_unicorn_that_is_excluded_or_out_of_reach_is_not_preferred() -> None:
    rides = [waiting("r", at(470), excluded=frozenset({"rested"}))]
    fleet = [available("near", HERE, 1), available("rested", HERE, 900)]
    fleet.append(available("beyond", at(-11), 950))
    assert paired(rides, fleet)[0] == {"r": "near"}


def test_a_crowd_above_the_most_pairs_is_served_older_half_first() -> None:
    crowd = [waiting(f"r{n:03}", HERE, seconds=n) for n in range(100)]
    fleet = [available(f"u{n:03}", at(n)) for n in range(80)]
    claims, _ = paired(crowd, fleet, Tuning(most_pairs=50, neighbours=4))
    assert len(claims) == len(set(claims.values())) == 80
    assert set(claims) == {f"r{n:03}" for n in range(20, 100)}


def test_a_search_ends_with_the_neighbours_that_suffice() -> None:
    """A wider search would have too many pairs, so that the older rider took the nearer unicorn."""
    rides = [waiting("older", at(0), seconds=1), waiting("newer", at(100))]
    fleet = [available("u1", at(60)), available("u2", at(-300)), available("u3", at(450))]
    claims, _ = paired(rides, fleet, Tuning(most_pairs=4, neighbours=2))
    assert claims == {"older": "u2", "newer": "u1"}


def test_above_the_most_pairs_a_late_ride_still_goes_before_a_much_newer_one() -> None:
    """The unicorn that `old` sees is taken by one older still; `new` sees the other one at once."""
    rides = [
        waiting("oldest", at(0), seconds=1200),
        waiting("old", at(10), seconds=1000),
        waiting("new", at(300)),
    ]
    fleet = [available("u1", at(0)), available("u2", at(300))]
    tuning = Tuning(most_pairs=0, neighbours=1)
    assert paired(rides, fleet, tuning)[0] == {"oldest": "u1", "old": "u2"}


def test_a_plan_hides_no_available_unicorn_behind_those_that_declined() -> None:
    near = {f"u{n}" for n in range(5)}
    fleet = [available(name, at(10)) for name in near] + [available("far", at(200))]
    fleet.append(busy("soon", at(-100), at(300), started_ago=0))
    rides = [waiting("r", HERE, excluded=frozenset(near))]
    assert paired(rides, fleet, Tuning(neighbours=2)) == ({"r": "far"}, {})


def test_above_the_most_pairs_an_excluded_neighbour_does_not_hide_the_next_one() -> None:
    rides = [waiting("r", HERE, excluded=frozenset({"near"}))]
    fleet = [available("near", HERE), available("far", at(200))]
    assert paired(rides, fleet, Tuning(most_pairs=0, neighbours=1))[0] == {"r": "far"}


def test_rounds_pair_as_they_did_when_they_were_measured() -> None:
    """Every weight of the costs moves one of these sums over many small markets."""
    dice = random.Random(19)

    def somewhere() -> Location:
        north, east = dice.uniform(0, 0.04), dice.uniform(0, 0.04)
        return Location(HERE.latitude + north, HERE.longitude + east)

    claims = plans = metres = seconds = order = 0
    for _ in range(60):
        rides = [waiting(f"r{n}", somewhere(), dice.uniform(0, 400)) for n in range(12)]
        fleet = [available(f"u{n}", somewhere(), dice.uniform(0, 3000)) for n in range(8)]
        fleet += [
            busy(f"u{n}", somewhere(), somewhere(), dice.uniform(0, 600)) for n in range(8, 16)
        ]
        known = {f"r{n}": Pairing(f"r{n}", f"u{n + 8}", 100, 500) for n in range(0, 12, 3)}
        found = Round(rides, fleet, known).match()
        claims += len(found.claims)
        plans += len(found.plans)
        for pair in (*found.claims, *found.plans):
            metres += pair.pickup_distance_metres
            seconds += pair.pickup_eta_seconds
            order += int(pair.ride_id[1:]) * int(pair.unicorn_id[1:])
    assert (claims, plans) == (447, 269)
    assert metres == 728_891
    assert (seconds, order) == (129_621, 26_751)
