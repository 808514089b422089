"""Finds the best pairs of a slice of waiting rides with the unicorns around them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from service.core.claims import Claim, plans_with_rider_etas, with_rider_etas
from service.core.ports import Hints
from service.matching.match import Matching, match
from service.matching.tuning import Tuning
from service.model import FleetEntry, Pairing, Ride

Match = Callable[[Sequence[Ride], Sequence[FleetEntry], Mapping[str, Pairing]], Matching]
"""`matching.match` with the tuning and the travel times of a round."""

SEARCH_GROWTH: Final = 4
"""If a rider gets none of the compared unicorns, the next search compares so many times as many."""


def find_pairs(
    ports: Hints,
    tuning: Tuning,
    rides: Sequence[Ride],
    plans: Mapping[str, Pairing],
    taken: Collection[str],
    now: datetime,
) -> tuple[Matching, Sequence[Claim]]:
    """The best pairs of these rides, all of one zone, with unicorns that are not `taken`.

    The fleet index returns the nearest unicorns, some of which are excluded from a ride. So it is
    asked for more around each ride that got no available unicorn while there are more within reach.
    `plans`: the present plans by ride id. Raises `Unavailable`.
    """
    fleet, zone = dict[str, FleetEntry](), rides[0].zone
    times = ports.times.for_a_round()
    travel, (trips, remaining) = times.for_pairing(zone, now), times.trips(zone, now)
    best: Match = partial(
        match, now=now, tuning=tuning, travel=travel, remaining=remaining, trips=trips
    )
    searching, cut, count = rides, set[str](), tuning.neighbours
    while True:
        near = ports.fleet.near(
            [ride.pickup for ride in searching],
            reach_metres=travel.reach_metres(tuning.max_pickup_eta_seconds),
            per_place=count,
            equal_metres=tuning.equal_metres,
            now=now,
        )
        found = {entry.unicorn.unicorn_id: entry for entry in near.entries}
        fleet |= {name: entry for name, entry in found.items() if name not in taken}
        cut -= {ride.ride_id for ride in searching}
        cut |= {ride.ride_id for ride in searching if ride.pickup in near.truncated}
        matching = best(rides, list(fleet.values()), plans)
        claimed = {pairing.ride_id for pairing in matching.claims}
        searching = [ride for ride in rides if ride.ride_id in cut - claimed]
        if not searching:
            break
        count *= SEARCH_GROWTH
    matching = _ask_again(best, rides, fleet, matching)
    by_id = {ride.ride_id: ride for ride in rides}
    claims = [Claim(p, by_id[p.ride_id], fleet[p.unicorn_id]) for p in matching.claims]
    told = plans_with_rider_etas(times, matching.plans, by_id, fleet, now)
    return Matching(matching.claims, tuple(told)), with_rider_etas(times, zone, claims, now)


def _ask_again(
    best: Match, rides: Sequence[Ride], fleet: Mapping[str, FleetEntry], matching: Matching
) -> Matching:
    """Offer a ride again to a unicorn that missed its offer, if no other can take the ride."""
    both = (*matching.claims, *matching.plans)
    served = {pairing.ride_id for pairing in both}
    alone = [ride for ride in rides if ride.missed_by and ride.ride_id not in served]
    if not alone:
        return matching
    taken = {pairing.unicorn_id for pairing in both}
    more = best(
        [replace(ride, missed_by=frozenset()) for ride in alone],
        [entry for name, entry in fleet.items() if name not in taken],
        {},
    )
    return Matching(matching.claims + more.claims, matching.plans + more.plans)
