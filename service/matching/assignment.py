"""Who gets whom: the cheapest way to give each rider at most one unicorn and the other way round.

To leave a rider without a unicorn has a price too, the rider's own (`unmatched`); it must exceed
the cost of each of the rider's edges. Functions answer with the rows of the edges they choose.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from service.matching.edges import Edges
from service.matching.travel import FloatArray, IntArray


def cheapest(edges: Edges, unmatched: FloatArray) -> IntArray:
    """The matching with the least total cost."""
    choices = _first_choices(edges, len(unmatched))
    if len(np.unique(edges.unicorns[choices])) == len(choices):
        return choices
    return _least_total(edges, unmatched)


def greedy(edges: Edges, unmatched: FloatArray) -> IntArray:
    """One edge after the other, whichever saves most, while both its ends are free."""
    order = np.argsort(edges.costs - unmatched[edges.riders], kind="stable")
    riders, unicorns = edges.riders[order].tolist(), edges.unicorns[order].tolist()
    served: set[int] = set()
    taken: set[int] = set()
    chosen = []
    for edge, rider, unicorn in zip(order.tolist(), riders, unicorns, strict=True):
        if rider not in served and unicorn not in taken:
            served.add(rider)
            taken.add(unicorn)
            chosen.append(edge)
    return np.array(chosen, dtype=np.intp)


def _first_choices(edges: Edges, riders: int) -> IntArray:
    """The cheapest edge of each rider that has one. If no two want the same, that is the best."""
    least = np.full(riders, np.inf)
    np.minimum.at(least, edges.riders, edges.costs)
    best = np.flatnonzero(edges.costs == least[edges.riders])
    _, first = np.unique(edges.riders[best], return_index=True)
    return best[first]


def _least_total(edges: Edges, unmatched: FloatArray) -> IntArray:
    """A minimum-weight matching over sparse edges.

    The solver wants every rider matched, hence a column of its own for each rider that stands for
    "nobody"; and it takes a weight of 0 for no edge, hence the shift (the same for all columns of
    a full matching changes nothing).
    """
    riders = len(unmatched)
    columns = int(edges.unicorns.max()) + 1
    costs = np.concatenate([edges.costs, unmatched])
    rows = np.concatenate([edges.riders, np.arange(riders)])
    targets = np.concatenate([edges.unicorns, columns + np.arange(riders)])
    graph = csr_array((costs + (1 - costs.min()), (rows, targets)))
    _, matched = min_weight_full_bipartite_matching(graph)
    return np.flatnonzero(edges.unicorns == matched[edges.riders])
