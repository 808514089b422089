"""What the pairs of a round cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import numpy as np

from service.matching.candidates import Candidates
from service.matching.edges import Edges
from service.matching.neighbours import Neighbourhood
from service.matching.travel import (
    BoolArray,
    FloatArray,
    IntArray,
    TravelTimes,
    places,
)
from service.matching.tuning import Tuning
from service.model import Pairing, Ride

LEFT_OUT: Final = 2.0
"""What a rider without a unicorn costs, in longest allowed pickup ETAs: more than any pair does,
yet not so much that all others drive to the end of the world for it."""

NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Market:
    """Waiting rides, candidates, and the prices of bringing them together."""

    pickups: FloatArray
    waited: FloatArray
    """How long each rider has waited, seconds."""
    candidates: Candidates
    unmatched: FloatArray
    """What it costs to leave out each rider, seconds: it grows while the rider waits."""
    planned: IntArray
    """Row of the unicorn planned for each rider, or `NOBODY`."""
    excluded: IntArray
    """Pairs never to be made, each as the number of its cell in the table of all pairs."""
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
            for unicorn_id in ride.excluded & row_of.keys()
        ]
        waited = np.array([max(0.0, (now - ride.requested_at).total_seconds()) for ride in rides])
        has_plan = np.array([ride.ride_id in plans for ride in rides])
        return cls(
            pickups=places(ride.pickup for ride in rides),
            waited=waited,
            candidates=candidates,
            unmatched=_prices_of_leaving_out(waited, has_plan, tuning),
            planned=np.array(planned, dtype=np.intp),
            excluded=np.array(excluded, dtype=np.intp),
            tuning=tuning,
            travel=travel,
        )

    @property
    def riders(self) -> IntArray:
        return np.arange(len(self.pickups))

    @property
    def unicorns(self) -> IntArray:
        return np.arange(len(self.candidates.unicorn_ids))

    def edges(
        self, riders: IntArray, unicorns: IntArray, neighbours: int
    ) -> tuple[Edges, BoolArray]:
        """Allowed pairs of these riders with the nearest of these unicorns of each kind.

        And for every rider of the market whether there may be more within reach.
        """
        more_in_reach = np.zeros(len(self.pickups), dtype=np.bool_)
        rows, columns = [], []
        available = unicorns < self.candidates.available
        for kind in (unicorns[available], unicorns[~available]):
            near = Neighbourhood(
                self.candidates.places[kind],
                self.travel.reach_metres(self.tuning.max_pickup_eta_seconds),
            )
            at, found, cut = near.nearest(self.pickups[riders], neighbours)
            rows.append(riders[at])
            columns.append(kind[found])
            more_in_reach[riders] |= cut
        return self._priced(np.concatenate(rows), np.concatenate(columns)), more_in_reach

    def _priced(self, riders: IntArray, unicorns: IntArray) -> Edges:
        seconds, metres = self.travel.estimate(
            self.candidates.places[unicorns], self.pickups[riders]
        )
        etas = self.candidates.ready_in[unicorns] + seconds
        knobs = self.tuning
        costs = etas + knobs.driving_weight * seconds + _lateness(self.waited[riders] + etas, knobs)
        costs -= knobs.idle_weight * self.candidates.idle[unicorns]
        costs -= knobs.hysteresis_seconds * (self.planned[riders] == unicorns)
        allowed = etas <= knobs.max_pickup_eta_seconds
        if len(self.excluded):
            cells = riders * len(self.candidates.unicorn_ids) + unicorns
            allowed &= ~np.isin(cells, self.excluded)
        return Edges(riders, unicorns, etas, metres, costs).only(allowed)


def _prices_of_leaving_out(waited: FloatArray, has_plan: BoolArray, tuning: Tuning) -> FloatArray:
    """More than the dearest pair of the rider, and the more the longer the rider has waited."""
    longest = tuning.max_pickup_eta_seconds
    # What else speaks for one rider or another must not outweigh the promise to those who waited.
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
