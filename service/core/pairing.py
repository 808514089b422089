"""Finds the best pairs of a slice of waiting rides with the unicorns around them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from service.core.claims import Claim
from service.core.ports import Hints
from service.core.travel_times import ZoneTimes
from service.matching.correction import Kind
from service.matching.match import Matching, match
from service.matching.travel import places
from service.matching.tuning import Tuning
from service.model import FleetEntry, Location, Pairing, Ride

Match = Callable[[Sequence[Ride], Sequence[FleetEntry], Mapping[str, Pairing]], Matching]
"""`matching.match` with the tuning and the travel times of a round."""

SEARCH_GROWTH: Final = 4
"""If a rider gets none of the compared unicorns, the next search compares this many times as
many."""


def find_pairs(
    ports: Hints,
    tuning: Tuning,
    rides: Sequence[Ride],
    plans: Mapping[str, Pairing],
    taken: Collection[str],
    now: datetime,
) -> tuple[Matching, Sequence[Claim]]:
    """The best pairs of these rides, all of one zone, with unicorns that are not `taken`.

    The fleet index returns the nearest unicorns, some of which are excluded from a ride. So the
    search goes on around each ride that got no available unicorn, while there are more within
    reach. `plans`: the present plans by ride id. Raises `Unavailable`.

    The claims to make, and the plans, have the ETAs that riders are told; the claims of the
    `Matching` have those of the round.
    """
    fleet, zone = dict[str, FleetEntry](), rides[0].zone
    times = ports.times.for_a_round()
    travel, (trips, remaining) = times.for_pairing(zone, now), times.trips(zone, now)
    best: Match = partial(
        match, now=now, tuning=tuning, travel=travel, remaining=remaining, trips=trips
    )
    searching, truncated, count = rides, set[str](), tuning.neighbours
    while True:
        near = ports.fleet.near(
            [ride.pickup for ride in searching],
            reach_metres=travel.reach_metres(tuning.max_pickup_eta_seconds),
            per_place=count,
            equal_metres=tuning.equal_metres,
            now=now,
        )
        found = {entry.unicorn.unicorn_id: entry for entry in near.entries}
        fleet |= {
            unicorn_id: entry for unicorn_id, entry in found.items() if unicorn_id not in taken
        }
        truncated -= {ride.ride_id for ride in searching}
        truncated |= {ride.ride_id for ride in searching if ride.pickup in near.truncated}
        matching = best(rides, list(fleet.values()), plans)
        claimed = {pairing.ride_id for pairing in matching.claims}
        searching = [ride for ride in rides if ride.ride_id in truncated - claimed]
        if not searching:
            break
        count *= SEARCH_GROWTH
    matching = _ask_again(best, rides, fleet, matching)
    by_id = {ride.ride_id: ride for ride in rides}
    claims = [Claim(p, by_id[p.ride_id], fleet[p.unicorn_id]) for p in matching.claims]
    told = _plans_with_rider_etas(times, matching.plans, by_id, fleet, now)
    return Matching(matching.claims, tuple(told)), _with_rider_etas(times, zone, claims, now)


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
        [entry for unicorn_id, entry in fleet.items() if unicorn_id not in taken],
        {},
    )
    return Matching(matching.claims + more.claims, matching.plans + more.plans)


def _with_rider_etas(
    times: ZoneTimes, zone: str, claims: Sequence[Claim], now: datetime
) -> Sequence[Claim]:
    """The claims with the ETAs that riders are told, instead of those that the round decided by."""
    starts = places(c.entry.position.location for c in claims if c.entry.position)
    pickups = places(c.ride.pickup for c in claims)
    factors = times.rider_factors(zone, starts, pickups, now)
    latest = times.latest_factor(zone, Kind.PICKUP)
    return [
        replace(c, pairing=c.pairing.with_eta(c.pairing.pickup_eta_seconds * factor, latest))
        for c, factor in zip(claims, factors.tolist(), strict=True)
    ]


def _plans_with_rider_etas(
    times: ZoneTimes,
    plans: Sequence[Pairing],
    rides: Mapping[str, Ride],
    fleet: Mapping[str, FleetEntry],
    now: datetime,
) -> Sequence[Pairing]:
    """The plans with the ETAs that riders are told, instead of those that the round decided by."""
    if not plans:
        return plans
    starts = places(_dropoff(fleet[plan.unicorn_id]) for plan in plans)
    pickups = places(rides[plan.ride_id].pickup for plan in plans)
    zone = rides[plans[0].ride_id].zone
    # A plan's ETA is the rest of the present trip and the drive; only the drive is corrected here.
    surplus = times.rider_factors(zone, starts, pickups, now) - 1
    if not surplus.any():
        return plans
    drives, _ = times.base.estimate(starts, pickups)
    latest = times.latest_factor(zone, Kind.PICKUP)
    return [
        plan.with_eta(max(0.0, plan.pickup_eta_seconds + seconds), latest)
        for plan, seconds in zip(plans, (surplus * drives).tolist(), strict=True)
    ]


def _dropoff(entry: FleetEntry) -> Location:
    """Where a planned unicorn starts: the dropoff of its present trip."""
    trip = entry.unicorn.trip
    if trip is None or trip.dropoff is None:
        raise ValueError("a unicorn without a known dropoff cannot be planned")
    return trip.dropoff
