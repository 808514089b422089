"""The usual way to dispatch, as a reference: pairs one after the other, the cheapest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from service.matching.assignment import CandidatePairs
from service.matching.candidates import gather
from service.matching.costs import CostTable
from service.matching.match import Matching
from service.matching.travel import FloatArray, TravelTimes
from service.matching.tuning import Tuning
from service.model import FleetEntry, Pairing, Ride
from tests.support.markets import AS_ESTIMATED


def nearest(
    waiting: Sequence[Ride],
    fleet: Sequence[FleetEntry],
    now: datetime,
    tuning: Tuning,
    travel: TravelTimes,
) -> Matching:
    """Give a rider the nearest free unicorn, and a unicorn that becomes free the nearest rider."""
    candidates = gather(fleet, now, 0, travel, AS_ESTIMATED, travel)
    if not waiting or not candidates.unicorn_ids:
        return Matching()
    costs = CostTable.of(waiting, candidates, {}, now, tuning, travel)
    pairs, _, _ = costs.pairs(costs.riders, len(candidates.unicorn_ids))
    chosen = _greedy(pairs, costs.unmatched)
    return Matching(
        tuple(
            Pairing(
                waiting[pairs.riders[row]].ride_id,
                candidates.unicorn_ids[pairs.unicorns[row]],
                round(pairs.etas[row]),
                round(pairs.metres[row]),
            )
            for row in chosen
        )
    )


def _greedy(pairs: CandidatePairs, unmatched: FloatArray) -> Sequence[int]:
    served: set[int] = set()
    taken: set[int] = set()
    chosen = []
    for row in np.argsort(pairs.costs - unmatched[pairs.riders], kind="stable").tolist():
        rider, unicorn = int(pairs.riders[row]), int(pairs.unicorns[row])
        if rider not in served and unicorn not in taken:
            served.add(rider)
            taken.add(unicorn)
            chosen.append(row)
    return chosen
