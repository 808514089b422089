"""One round's decision: which waiting rides are claimed for which unicorns, and which are planned.

Pure: the same rides, fleet, plans and instant give the same answer, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from service.matching.assignment import cheapest, greedy
from service.matching.candidates import Candidates, gather
from service.matching.costs import Market
from service.matching.edges import Edges
from service.matching.remaining import RemainingTime
from service.matching.travel import IntArray, TravelTimes
from service.matching.tuning import Tuning as Tuning
from service.model import FleetEntry, Pairing, Ride


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs to be claimed now (the unicorn is available), and pairs that should come next."""

    claims: tuple[Pairing, ...]
    plans: tuple[Pairing, ...]


def match(
    waiting: Sequence[Ride],
    fleet: Sequence[FleetEntry],
    plans: Mapping[str, Pairing],
    now: datetime,
    tuning: Tuning,
    travel: TravelTimes,
    remaining: RemainingTime,
) -> Matching:
    """Pair waiting rides with unicorns; `plans` are those of the last round, by ride id.

    Each ride and each unicorn is paired at most once. Longest waiting rides come first.
    """
    by_id = {ride.ride_id: ride for ride in waiting}
    rides = sorted(by_id.values(), key=lambda ride: (ride.requested_at, ride.ride_id))
    candidates = gather(fleet, now, tuning.plan_seconds, travel, remaining)
    if not rides or not candidates.unicorn_ids:
        return Matching((), ())
    market = Market.of(rides, candidates, plans, now, tuning, travel)
    return _matching(_choose(market, tuning), rides, candidates)


def _choose(market: Market, tuning: Tuning) -> Edges:
    """The best matching; riders left out for looking at too few unicorns get to see more."""
    neighbours = tuning.neighbours
    edges, more_in_reach = market.edges(market.riders, market.unicorns, neighbours)
    while len(edges) <= tuning.edge_budget:
        chosen = edges.only(cheapest(edges, market.unmatched))
        searching = more_in_reach.copy()
        searching[chosen.riders] = False
        if not searching.any():
            return chosen
        neighbours *= 2
        kept = edges.only(~searching[edges.riders])
        wider, more = market.edges(np.flatnonzero(searching), market.unicorns, neighbours)
        # Others may lose their unicorn to these: they can search in their turn.
        more_in_reach = np.where(searching, more, more_in_reach)
        edges = kept.joined(wider)
    return _choose_greedily(market, tuning.neighbours)


def _choose_greedily(market: Market, neighbours: int) -> Edges:
    """A good matching in bounded time, pass by pass over those who are still alone."""
    unicorns = market.unicorns
    passes = [market.edges(market.riders[:0], unicorns, neighbours)[0]]
    for riders in _cohorts(market):
        count = neighbours
        while len(riders):
            edges, more_in_reach = market.edges(riders, unicorns, count)
            chosen = edges.only(greedy(edges, market.unmatched))
            passes.append(chosen)
            riders = np.setdiff1d(riders, chosen.riders)
            unicorns = np.setdiff1d(unicorns, chosen.unicorns)
            if not len(chosen):
                riders, count = riders[more_in_reach[riders]], 2 * count
    return passes[0].joined(*passes[1:])


def _cohorts(market: Market) -> Iterator[IntArray]:
    """Riders of about the same age, oldest first.

    A pass sees only the nearest unicorns, so it could give a later comer one that an older rider
    would have come to in the next pass. Among cohorts it cannot.
    """
    after_the_first = market.waited.max() - market.waited
    cohorts = np.floor(after_the_first / market.tuning.overtaking_seconds)
    return (np.flatnonzero(cohorts == cohort) for cohort in np.unique(cohorts))


def _matching(chosen: Edges, rides: Sequence[Ride], candidates: Candidates) -> Matching:
    claims: list[Pairing] = []
    plans: list[Pairing] = []
    for row in np.argsort(chosen.riders):
        unicorn = chosen.unicorns[row]
        pairing = Pairing(
            rides[chosen.riders[row]].ride_id,
            candidates.unicorn_ids[unicorn],
            pickup_eta_seconds=round(chosen.etas[row]),
            pickup_distance_metres=round(chosen.metres[row]),
        )
        (claims if unicorn < candidates.available else plans).append(pairing)
    return Matching(tuple(claims), tuple(plans))
