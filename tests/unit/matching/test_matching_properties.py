"""Properties of every round, for rides and unicorns anywhere on earth."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from service.matching.match import Matching
from service.matching.tuning import Tuning
from service.model import FleetEntry, Location, Ride
from tests.support.builders import NOW
from tests.support.markets import TRAVEL, Round, rounds

CAP = Tuning().max_pickup_eta_seconds
PLAIN = Tuning(
    driving_weight=0,
    lateness_weight=0,
    deadline_seconds=np.inf,
    equal_metres=0,
    hysteresis_seconds=0,
    priority_seconds=0,
)
NARROW = Tuning(neighbours=1)
CROWDED = Tuning(most_pairs=0)
TUNINGS = st.sampled_from(
    [
        Tuning(),
        NARROW,
        CROWDED,
        replace(CROWDED, neighbours=1),
        Tuning(equal_metres=1000),
        Tuning(driving_weight=3),
    ]
)


def ready_in(entry: FleetEntry) -> float | None:
    """Seconds until the unicorn could leave for another pickup, by the estimates alone."""
    unicorn, trip = entry.unicorn, entry.unicorn.trip
    if unicorn.can_take_a_ride:
        return 0.0
    if trip is None or trip.dropoff is None or entry.position is None:
        return None
    estimated = seconds(trip.pickup, trip.dropoff)
    elapsed = (NOW - trip.started_at).total_seconds() if trip.started_at else 0.0
    approach = 0.0 if trip.started_at else seconds(entry.position.location, trip.pickup)
    left = approach + max(0.0, max(1.0, estimated) - elapsed)
    return left if left <= Tuning().plan_seconds else None


def seconds(origin: Location, destination: Location) -> float:
    return TRAVEL.crow_metres(origin, destination) / TRAVEL.reach_metres(1)


def eta(ride: Ride, entry: FleetEntry) -> float:
    """Pickup ETA of an allowed pair, else infinite."""
    ready, trip = ready_in(entry), entry.unicorn.trip
    assert entry.position
    start = trip.dropoff if trip else entry.position.location
    if ready is None or start is None or entry.unicorn.unicorn_id in ride.excluded:
        return np.inf
    total = ready + seconds(start, ride.pickup)
    return total if total <= CAP else np.inf


def table(market: Round) -> np.ndarray:
    shape = len(market.rides), len(market.fleet)
    return np.array([eta(r, e) for r, e in product(market.rides, market.fleet)]).reshape(shape)


def pairs(market: Round, matching: Matching) -> list[tuple[int, int]]:
    rides = {ride.ride_id: row for row, ride in enumerate(market.rides)}
    unicorns = {entry.unicorn.unicorn_id: row for row, entry in enumerate(market.fleet)}
    both = (*matching.claims, *matching.plans)
    return [(rides[pair.ride_id], unicorns[pair.unicorn_id]) for pair in both]


def total(etas: np.ndarray, chosen: list[tuple[int, int]]) -> float:
    """Cost of a matching when leaving out a rider costs two longest ETAs."""
    return sum(etas[pair] for pair in chosen) + 2 * CAP * (len(etas) - len(chosen))


@given(rounds, TUNINGS)
def test_a_matching_is_valid(market: Round, tuning: Tuning) -> None:
    matching = market.match(tuning)
    both = [*matching.claims, *matching.plans]
    assert len({pair.ride_id for pair in both}) == len(both)
    assert len({pair.unicorn_id for pair in both}) == len(both)
    rides = {ride.ride_id: ride for ride in market.rides}
    fleet = {entry.unicorn.unicorn_id: entry for entry in market.fleet}
    assert all(fleet[pair.unicorn_id].unicorn.can_take_a_ride for pair in matching.claims)
    for pair in both:
        expected = eta(rides[pair.ride_id], fleet[pair.unicorn_id])
        assert abs(pair.pickup_eta_seconds - expected) <= 1
        assert pair.pickup_eta_seconds <= CAP
    assert all(not fleet[pair.unicorn_id].unicorn.can_take_a_ride for pair in matching.plans)


@given(rounds, TUNINGS)
def test_excluded_pairs_are_never_chosen(market: Round, tuning: Tuning) -> None:
    matching = market.match(tuning)
    excluded = {ride.ride_id: ride.excluded for ride in market.rides}
    for pair in (*matching.claims, *matching.plans):
        assert pair.unicorn_id not in excluded[pair.ride_id]


@given(rounds, TUNINGS)
def test_no_rider_is_left_out_while_an_allowed_unicorn_is_left(
    market: Round, tuning: Tuning
) -> None:
    etas, chosen = table(market), pairs(market, market.match(tuning))
    alone = set(range(len(market.rides))) - {rider for rider, _ in chosen}
    free = set(range(len(market.fleet))) - {unicorn for _, unicorn in chosen}
    assert not any(etas[pair] < CAP - 1e-6 for pair in product(alone, free))


@given(rounds)
def test_the_total_is_the_dense_optimum(market: Round) -> None:
    etas = table(market)
    dense = np.concatenate([etas, np.full((len(etas), len(etas)), 2 * CAP)], axis=1)
    dense = np.where(np.isfinite(dense), dense, 1e9)
    optimum = dense[linear_sum_assignment(dense)].sum()
    found = total(etas, pairs(market, market.match(PLAIN)))
    assert found <= optimum + 1e-6


@given(rounds, TUNINGS, st.randoms(use_true_random=False))
def test_the_order_of_rides_and_unicorns_does_not_matter(
    market: Round, tuning: Tuning, rng: random.Random
) -> None:
    rides, fleet = list(market.rides), list(market.fleet)
    rng.shuffle(rides)
    rng.shuffle(fleet)
    plans = dict(sorted(market.plans.items(), reverse=True))
    assert Round(rides, fleet, plans).match(tuning) == market.match(tuning)


@given(
    rounds, st.sampled_from([60, 180, 960]), st.sampled_from([1, 16]), st.sampled_from([0, 5, 999])
)
def test_no_ride_is_passed_over_for_a_much_newer_one(
    market: Round, deadline: int, neighbours: int, most_pairs: int
) -> None:
    """The bound is half a deadline, with and without plans, equals and halves."""
    tuning = Tuning(deadline_seconds=deadline, neighbours=neighbours, most_pairs=most_pairs)
    etas, chosen = table(market), pairs(market, market.match(tuning))
    alone = set(range(len(market.rides))) - {rider for rider, _ in chosen}
    for rider, (other, unicorn) in product(alone, chosen):
        later = market.rides[other].requested_at - market.rides[rider].requested_at
        if np.isfinite(etas[rider, unicorn]):
            assert later.total_seconds() <= deadline / 2 + 1e-6


@given(rounds, st.sampled_from([1, 16]))
def test_no_equally_near_unicorn_that_waited_longer_is_left_standing(
    market: Round, neighbours: int
) -> None:
    """Straight lines differ by less than 100 m."""
    matching = market.match(Tuning(neighbours=neighbours))
    used = {pair.unicorn_id for pair in (*matching.claims, *matching.plans)}
    rides = {ride.ride_id: ride for ride in market.rides}
    fleet = {entry.unicorn.unicorn_id: entry for entry in market.fleet}
    for pair in matching.claims:
        ride, chosen = rides[pair.ride_id], fleet[pair.unicorn_id]
        for name in fleet.keys() - used:
            other = fleet[name]
            if other.unicorn.can_take_a_ride and np.isfinite(eta(ride, other)):
                assert other.position
                assert chosen.position
                farther = TRAVEL.crow_metres(other.position.location, ride.pickup)
                farther -= TRAVEL.crow_metres(chosen.position.location, ride.pickup)
                assert farther > 99.9 or idle(other) <= idle(chosen)


def idle(entry: FleetEntry) -> float:
    since = entry.unicorn.idle_since
    return (NOW - since).total_seconds() if since else 0.0
