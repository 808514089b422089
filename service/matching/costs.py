"""Which pairs a round considers, and what each of them costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Final, Self

import numpy as np
from scipy.spatial import cKDTree

from service.matching.assignment import CandidatePairs
from service.matching.candidates import Candidates
from service.matching.travel import (
    BoolArray,
    FloatArray,
    IntArray,
    TravelTimes,
    chord,
    crow_metres,
    on_sphere,
    places,
)
from service.matching.tuning import Tuning
from service.model import Pairing, Ride

LEFT_OUT: Final = 2.0
"""The cost of a rider without a unicorn, in multiples of `max_pickup_eta_seconds`: more than any
pair costs, but not so much that all others would accept very long drives for it."""

NOBODY: Final = -1


class Neighbourhood:
    """Finds the places nearest to others by straight line.

    It is a tree over points on the unit sphere, so that poles and the date line need no special
    case.
    """

    def __init__(self, places: FloatArray, within_metres: float) -> None:
        self._places = places
        self._chord = chord(within_metres) * (1 + 1e-9)

    @cached_property
    def _tree(self) -> cKDTree:
        """Built when first needed, because often no unicorn is busy, or none available."""
        return cKDTree(on_sphere(self._places))

    def nearest(self, origins: FloatArray, count: int) -> tuple[IntArray, IntArray, BoolArray]:
        """Pairs of (row of origins, row of places), at most `count` for each origin.

        Also returns, for each origin, whether there may be more places within the distance.
        """
        all_places = len(self._places)
        wanted = min(count, all_places)
        if not wanted:
            nothing = np.empty(0, dtype=np.intp)
            return nothing, nothing, np.zeros(len(origins), dtype=np.bool_)
        _, rows_found = self._tree.query(
            on_sphere(origins), k=wanted, distance_upper_bound=self._chord
        )
        near = np.reshape(rows_found, (len(origins), wanted))
        found = near < all_places
        rows, ranks = np.nonzero(found)
        return rows, near[rows, ranks], found[:, -1] & (wanted < all_places)

    def within(self, origins: FloatArray, metres: FloatArray) -> tuple[IntArray, IntArray]:
        """Pairs of (row of origins, row of places) that are at most the origin's metres apart."""
        found = self._tree.query_ball_point(on_sphere(origins), chord(metres))
        rows = np.repeat(np.arange(len(origins)), [len(each) for each in found])
        return rows, np.fromiter(chain.from_iterable(found), np.intp, len(rows))


@dataclass(frozen=True, slots=True)
class CostTable:
    """Waiting rides, candidates, and the costs of their pairs.

    Riders and unicorns are rows; the available unicorns come first.
    """

    pickups: FloatArray
    waited: FloatArray
    """The seconds that each rider has waited."""
    candidates: Candidates
    unmatched: FloatArray
    """The cost in seconds of leaving out each rider; it grows while the rider waits."""
    planned: IntArray
    """The row of the unicorn planned for each rider, or `NOBODY`."""
    excluded: IntArray
    """Forbidden pairs, each as the index of its cell in the table of all pairs."""
    available: Neighbourhood
    busy: Neighbourhood
    tuning: Tuning
    travel: TravelTimes

    @classmethod
    def of(
        cls,
        rides: Sequence[Ride],
        candidates: Candidates,
        plans: Mapping[str, Pairing],
        now: datetime,
        tuning: Tuning,
        travel: TravelTimes,
    ) -> Self:
        row_of = {unicorn_id: row for row, unicorn_id in enumerate(candidates.unicorn_ids)}
        planned = [
            row_of.get(plans[ride.ride_id].unicorn_id, NOBODY) if ride.ride_id in plans else NOBODY
            for ride in rides
        ]
        excluded = [
            rider * len(row_of) + row_of[unicorn_id]
            for rider, ride in enumerate(rides)
            for unicorn_id in (ride.excluded | ride.missed_by) & row_of.keys()
        ]
        waited = np.array([max(0.0, (now - ride.requested_at).total_seconds()) for ride in rides])
        has_plan = np.array([ride.ride_id in plans for ride in rides])
        reach = travel.reach_metres(tuning.max_pickup_eta_seconds)
        return cls(
            pickups=places(ride.pickup for ride in rides),
            waited=waited,
            candidates=candidates,
            unmatched=_prices_of_leaving_out(waited, has_plan, tuning),
            planned=np.array(planned, dtype=np.intp),
            excluded=np.array(excluded, dtype=np.intp),
            available=Neighbourhood(candidates.places[: candidates.available], reach),
            busy=Neighbourhood(candidates.places[candidates.available :], reach),
            tuning=tuning,
            travel=travel,
        )

    @property
    def riders(self) -> IntArray:
        return np.arange(len(self.pickups))

    def pairs(
        self, riders: IntArray, neighbours: int
    ) -> tuple[CandidatePairs, BoolArray, BoolArray]:
        """Allowed pairs of these riders with the nearest available and the nearest busy unicorns.

        Also returns, for each rider, whether there may be more available ones within reach, and
        more busy ones.
        """
        more_available, more_busy = np.zeros((2, len(self.pickups)), dtype=np.bool_)
        first, free, more_available[riders] = self.available.nearest(
            self.pickups[riders], neighbours
        )
        second, busy, more_busy[riders] = self.busy.nearest(self.pickups[riders], neighbours)
        rows = riders[np.concatenate([first, second])]
        columns = np.concatenate([free, busy + self.candidates.available])
        return self._priced(rows, columns), more_available, more_busy

    def equals(self, claims: CandidatePairs) -> CandidatePairs:
        """The claims, and pairs with equally near available unicorns that have waited longer.

        Equally near: the straight line is at most `equal_metres` longer, and the pickup ETA longer
        by at most the time for that distance. Of each rider's pairs only those with the longest
        waiting unicorns are kept: as many as `neighbours`, or as there are claims if these are
        more.
        """
        equal, idle = self.tuning.equal_metres, self.candidates.idle
        pickups = self.pickups[claims.riders]
        crow = crow_metres(self.candidates.places[claims.unicorns], pickups)
        rows, unicorns = self.available.within(pickups, crow + equal)
        longer = idle[unicorns] > idle[claims.unicorns[rows]]
        if not longer.any():
            return claims
        rows, unicorns = rows[longer], unicorns[longer]
        allowed = self._allowed(claims.riders[rows], unicorns)
        rows, unicorns = rows[allowed], unicorns[allowed]
        most = max(self.tuning.neighbours, len(claims))
        first = _first_of_each(rows, -idle[unicorns], most)
        rows, unicorns = rows[first], unicorns[first]
        riders = claims.riders[rows]
        seconds, metres = self._drive(riders, unicorns)
        longest = claims.etas[rows] + equal / self.travel.reach_metres(1)
        longest = np.minimum(longest + 1e-6, self.tuning.max_pickup_eta_seconds)
        others = CandidatePairs(riders, unicorns, seconds, metres, seconds)
        return claims.joined(others.only(seconds <= longest))

    def _priced(self, riders: IntArray, unicorns: IntArray) -> CandidatePairs:
        seconds, metres = self._drive(riders, unicorns)
        etas = self.candidates.ready_in[unicorns] + seconds
        knobs = self.tuning
        costs = etas + knobs.driving_weight * seconds + _lateness(self.waited[riders] + etas, knobs)
        costs -= knobs.hysteresis_seconds * (self.planned[riders] == unicorns)
        in_time = etas <= knobs.max_pickup_eta_seconds
        pairs = CandidatePairs(riders, unicorns, etas, metres, costs)
        return pairs.only(in_time & self._allowed(riders, unicorns))

    def _drive(self, riders: IntArray, unicorns: IntArray) -> tuple[FloatArray, FloatArray]:
        """Seconds and metres from each unicorn to the rider in the same row."""
        return self.travel.estimate(self.candidates.places[unicorns], self.pickups[riders])

    def _allowed(self, riders: IntArray, unicorns: IntArray) -> BoolArray:
        if not len(self.excluded):
            return np.ones(len(riders), dtype=np.bool_)
        cells = riders * len(self.candidates.unicorn_ids) + unicorns
        return np.isin(cells, self.excluded, invert=True)


def _first_of_each(groups: IntArray, order: FloatArray, count: int) -> BoolArray:
    """The rows that are among the first `count` of their group by `order`."""
    by_group = np.lexsort((order, groups))
    sorted_groups = groups[by_group]
    rank = np.arange(len(groups)) - np.searchsorted(sorted_groups, sorted_groups)
    first = np.empty(len(groups), dtype=np.bool_)
    first[by_group] = rank < count
    return first


def _prices_of_leaving_out(waited: FloatArray, has_plan: BoolArray, tuning: Tuning) -> FloatArray:
    """More than the rider's most expensive pair, and more the longer the rider has waited.

    The terms: more than any pair costs; lateness; the time waited; the priority of a plan.
    """
    longest = tuning.max_pickup_eta_seconds
    # Other terms of the cost must not outweigh the priority of riders who have waited longer.
    others = tuning.driving_weight + tuning.lateness_weight
    others += (tuning.hysteresis_seconds + tuning.priority_seconds) / longest
    prices: FloatArray = (
        LEFT_OUT * longest * (1 + tuning.driving_weight)
        + _lateness(waited + longest, tuning)
        + tuning.waiting_weight * (1 + others) * waited
        + tuning.priority_seconds * has_plan
    )
    return prices


def _lateness(until_pickup: FloatArray, tuning: Tuning) -> FloatArray:
    late: FloatArray = np.maximum(0.0, until_pickup - tuning.on_time_seconds)
    return tuning.lateness_weight * late
