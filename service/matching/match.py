"""Decides for one round which waiting rides are claimed for which unicorns, and which are planned.

Pure: the same rides, fleet, plans and instant give the same result, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from service.matching.assignment import CandidatePairs, cheapest, longest_waiting
from service.matching.candidates import Candidates, gather
from service.matching.costs import CostTable
from service.matching.remaining import RemainingTime
from service.matching.travel import BoolArray, IntArray, TravelTimes
from service.matching.tuning import Tuning
from service.model import FleetEntry, Pairing, Ride


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs to be claimed now (the unicorn is available), and planned pairs."""

    claims: tuple[Pairing, ...] = ()
    plans: tuple[Pairing, ...] = ()


def match(
    waiting: Sequence[Ride],
    fleet: Sequence[FleetEntry],
    plans: Mapping[str, Pairing],
    now: datetime,
    tuning: Tuning,
    travel: TravelTimes,
    remaining: RemainingTime,
    trips: TravelTimes | None = None,
) -> Matching:
    """Pair waiting rides with unicorns. `plans`: those of the last round, by ride id.

    `travel` estimates drives to pickups, `trips` (default: `travel`) the trips under way. Each ride
    and each unicorn is paired at most once. The longest waiting rides come first.
    """
    by_id = {ride.ride_id: ride for ride in waiting}
    rides = sorted(by_id.values(), key=lambda ride: (ride.requested_at, ride.ride_id))
    candidates = gather(fleet, now, tuning.plan_seconds, travel, remaining, trips or travel)
    if not rides or not candidates.unicorn_ids:
        return Matching()
    chosen = _choose(CostTable.of(rides, candidates, plans, now, tuning, travel))
    if chosen is not None:
        return _pairings(chosen, rides, candidates)
    half = len(rides) // 2
    older = match(rides[:half], fleet, plans, now, tuning, travel, remaining, trips)
    taken = {pairing.unicorn_id for pairing in (*older.claims, *older.plans)}
    left = [entry for entry in fleet if entry.unicorn.unicorn_id not in taken]
    younger = match(rides[half:], left, plans, now, tuning, travel, remaining, trips)
    return Matching(older.claims + younger.claims, older.plans + younger.plans)


def _choose(costs: CostTable) -> CandidatePairs | None:
    """The best pairs; None if there are too many possible pairs.

    For a rider who got no unicorn although more are within reach, the search takes twice the
    neighbours.
    """
    neighbours = costs.tuning.neighbours
    pairs, more_available, more_busy = costs.pairs(costs.riders, neighbours)
    while len(pairs) <= costs.tuning.most_pairs or len(costs.riders) == 1:
        if more_available.any() and _has_too_few_unicorns(pairs):
            searching = more_available
        else:
            chosen = cheapest(pairs, costs.unmatched)
            claims = chosen.only(chosen.unicorns < costs.candidates.available)
            searching = _without(more_available, claims.riders)
            searching |= _without(more_busy, chosen.riders)
            if not searching.any():
                return _fair(costs, chosen, claims)
        neighbours *= 2
        wider, available, busy = costs.pairs(np.flatnonzero(searching), neighbours)
        # Other riders may lose their unicorn to these; then they search further too.
        more_available = np.where(searching, available, more_available)
        more_busy = np.where(searching, busy, more_busy)
        pairs = pairs.only(~searching[pairs.riders]).joined(wider)
    return None


def _without(flags: BoolArray, rows: IntArray) -> BoolArray:
    """A copy of the flags with these rows cleared."""
    rest = flags.copy()
    rest[rows] = False
    return rest


def _has_too_few_unicorns(pairs: CandidatePairs) -> bool:
    """Whether the pairs have fewer unicorns than riders. If so, some rider is left out, which is
    known without a pairing."""
    unicorns, riders = np.bincount(pairs.unicorns), np.bincount(pairs.riders)
    return bool(np.count_nonzero(unicorns) < np.count_nonzero(riders))


def _fair(costs: CostTable, chosen: CandidatePairs, claims: CandidatePairs) -> CandidatePairs:
    """The pairs, after claims went to equally near unicorns that have waited longer."""
    if len(claims) in (0, costs.candidates.available) or not costs.tuning.equal_metres:
        return chosen
    equals = costs.equals(claims)
    if equals is claims:
        return chosen
    plans = chosen.only(chosen.unicorns >= costs.candidates.available)
    return plans.joined(longest_waiting(claims, equals, costs.candidates.idle))


def _pairings(chosen: CandidatePairs, rides: Sequence[Ride], candidates: Candidates) -> Matching:
    claims: list[Pairing] = []
    plans: list[Pairing] = []
    by_rider = chosen.only(np.argsort(chosen.riders))
    columns = (by_rider.riders, by_rider.unicorns, by_rider.etas, by_rider.metres)
    for rider, unicorn, eta, metres in zip(*(each.tolist() for each in columns), strict=True):
        pairing = Pairing(
            rides[rider].ride_id,
            candidates.unicorn_ids[unicorn],
            pickup_eta_seconds=round(eta),
            pickup_distance_metres=round(metres),
        )
        (claims if unicorn < candidates.available else plans).append(pairing)
    return Matching(tuple(claims), tuple(plans))
