"""Finds the cheapest pairs, with each rider and each unicorn in at most one of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from heapq import heapify, heappop, heappush
from typing import Self

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from service.matching.travel import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class CandidatePairs:
    """Possible pairs of a round in columns: one row per pair, and no pair twice."""

    riders: IntArray
    """Row of the rider among the waiting rides."""
    unicorns: IntArray
    """Row of the unicorn among the candidates."""
    etas: FloatArray
    """Pickup ETA in seconds, including the time until the unicorn is free."""
    metres: FloatArray
    """Length of the drive to the pickup."""
    costs: FloatArray
    """The cost of the pair in this round, in seconds."""

    def __len__(self) -> int:
        return len(self.costs)

    def only(self, rows: BoolArray | IntArray) -> Self:
        """The pairs of these rows."""
        # Written out, because it takes a small round 2 % longer to read the columns by name.
        return type(self)(
            self.riders[rows],
            self.unicorns[rows],
            self.etas[rows],
            self.metres[rows],
            self.costs[rows],
        )

    def joined(self, other: Self) -> Self:
        """These pairs and then the other ones."""
        return type(self)(
            *(
                np.concatenate([getattr(self, column.name), getattr(other, column.name)])
                for column in fields(self)
            )
        )


def cheapest(pairs: CandidatePairs, skip_costs: FloatArray) -> CandidatePairs:
    """The matching with the least total cost.

    `skip_costs`: the cost of leaving out each rider; it must exceed the costs of the rider's pairs.
    """
    choices = _first_choices(pairs, len(skip_costs))
    if len(set(pairs.unicorns[choices].tolist())) == len(choices):
        return pairs.only(choices)
    return pairs.only(_least_total(pairs, skip_costs))


def longest_waiting(
    claims: CandidatePairs, equals: CandidatePairs, idle: FloatArray
) -> CandidatePairs:
    """The same riders; of equally good unicorns, those that have waited longest get the rides.

    `equals`: the claims, and the pairs that are as good as a claim. `idle`: the seconds that each
    unicorn has waited. In each step, the unicorn without a ride that has waited longest compares
    the rides for which it is equally good: it takes the ride whose unicorn has waited least, if
    that unicorn has waited less. The unicorn that lost its ride may then do the same.
    """
    seconds = idle.tolist()
    holder = dict(zip(claims.riders.tolist(), claims.unicorns.tolist(), strict=True))
    riders_of: dict[int, list[int]] = {}
    for rider, unicorn in zip(equals.riders.tolist(), equals.unicorns.tolist(), strict=True):
        riders_of.setdefault(unicorn, []).append(rider)
    standing = [(-seconds[unicorn], unicorn) for unicorn in riders_of.keys() - holder.values()]
    heapify(standing)
    while standing:
        _, unicorn = heappop(standing)
        rider = min(riders_of[unicorn], key=lambda rider: seconds[holder[rider]])
        replaced = holder[rider]
        if seconds[replaced] < seconds[unicorn]:
            holder[rider] = unicorn
            heappush(standing, (-seconds[replaced], replaced))
    held = np.zeros(int(claims.riders.max()) + 1, dtype=np.intp)
    held[list(holder)] = list(holder.values())
    return equals.only(equals.unicorns == held[equals.riders])


def _first_choices(pairs: CandidatePairs, riders: int) -> IntArray:
    """The cheapest pair of each rider that has one; optimal if no two have the same unicorn."""
    least = np.full(riders, np.inf)
    np.minimum.at(least, pairs.riders, pairs.costs)
    # The last one first: of equally cheap pairs the first one is written last, so it stays.
    best = np.flatnonzero(pairs.costs == least[pairs.riders])[::-1]
    choices = np.full(riders, -1)
    choices[pairs.riders[best]] = best
    return choices[choices >= 0]


def _least_total(pairs: CandidatePairs, skip_costs: FloatArray) -> IntArray:
    """A minimum-weight matching over sparse pairs.

    The solver needs every rider matched, so each rider has a column of its own that stands for
    "nobody". It takes a weight of 0 for a missing pair, so all weights are shifted. An
    equal shift changes nothing, because all full matchings have the same number of pairs.
    """
    riders = len(skip_costs)
    columns = int(pairs.unicorns.max()) + 1
    costs = np.concatenate([pairs.costs, skip_costs])
    rows = np.concatenate([pairs.riders, np.arange(riders)])
    targets = np.concatenate([pairs.unicorns, columns + np.arange(riders)])
    graph = csr_array((costs + (1 - costs.min()), (rows, targets)))
    _, matched = min_weight_full_bipartite_matching(graph)
    return np.flatnonzero(pairs.unicorns == matched[pairs.riders])
