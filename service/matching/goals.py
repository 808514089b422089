"""Goals: cells where riders will probably ask next, and the worth of unicorns that wait there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import h3
import numpy as np
from scipy.spatial import cKDTree
from scipy.special import pdtrc

from service.matching.candidates import Candidates
from service.matching.demand import GOAL_RESOLUTION, Demand
from service.matching.travel import FloatArray, IntArray, chord, on_sphere
from service.matching.tuning import Repositioning

BLOCK_RESOLUTION: Final = 6
"""H3 resolution of the blocks (7 km across). If there are too many goals to solve at once, each
block is solved on its own."""

MOST_SLOTS: Final = 12
"""The most unicorns that one goal can want."""


@dataclass(frozen=True, slots=True)
class Goals:
    """Cells in which riders asked for rides, in columns."""

    cells: tuple[str, ...]
    places: FloatArray
    """Where to wait: the centre of the small cell that is nearest to the mean of the requests."""
    expected: FloatArray
    """The number of riders that are expected within the horizon."""

    @property
    def blocks(self) -> IntArray:
        """The number of each goal's block."""
        parents = [_parent(cell, BLOCK_RESOLUTION) for cell in self.cells]
        return np.unique(parents, return_inverse=True)[1]

    @classmethod
    def of(cls, demand: Demand, knobs: Repositioning) -> Goals:
        small = sorted(demand.by_cell)
        riders = np.array([demand.by_cell[cell] for cell in small], dtype=np.float64)
        spots = np.array([_center(cell) for cell in small])
        parents = [_parent(cell, GOAL_RESOLUTION) for cell in small]
        cells, goal_of = np.unique(parents, return_inverse=True)
        central = _most_central(spots, riders, goal_of)
        smooth = _spread(spots, riders, spots[central], knobs.smooth_metres)
        rate = demand.lately / knobs.rate_seconds
        expected = rate * knobs.horizon_seconds * smooth / riders.sum()
        return cls(tuple(cells.tolist()), spots[central], expected)

    def slot_values(self, candidates: Candidates, knobs: Repositioning) -> FloatArray:
        """The worth in seconds of the first, second … unicorn at each goal; one row per goal."""
        soon = slice(candidates.available, None)
        shares = 1 - candidates.ready_in[soon] / knobs.horizon_seconds
        arriving = _spread(candidates.places[soon], shares, self.places, knobs.smooth_metres)
        unserved = np.maximum(0.0, self.expected - arriving)
        # The Poisson chance that more than k riders come, so that a (k + 1)th unicorn is needed.
        chances = pdtrc(np.arange(MOST_SLOTS), unserved[:, None])
        values: FloatArray = knobs.worth_seconds * np.where(
            chances > knobs.least_chance, chances, 0.0
        )
        return values


# Cached, because two runs have most cells in common and h3 takes longer than the other arithmetic.
_center = lru_cache(maxsize=1 << 16)(h3.cell_to_latlng)
_parent = lru_cache(maxsize=1 << 16)(h3.cell_to_parent)


def _most_central(spots: FloatArray, riders: FloatArray, goal_of: IntArray) -> IntArray:
    """For each goal, the row of the spot that is nearest to the mean of the goal's riders."""
    points = on_sphere(spots)
    means = np.zeros((int(goal_of.max()) + 1, 3))
    np.add.at(means, goal_of, points * riders[:, None])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    nearness = (points * means[goal_of]).sum(axis=1)
    order = np.lexsort((-nearness, goal_of))
    _, first = np.unique(goal_of[order], return_index=True)
    central: IntArray = order[first]
    return central


def _spread(
    origins: FloatArray, weights: FloatArray, places: FloatArray, smooth_metres: float
) -> FloatArray:
    """Distribute each origin's weight over the places around it, more to nearer ones.

    A Gaussian kernel; the shares of an origin add up to its weight.
    """
    if not len(origins):
        return np.zeros(len(places))
    near = cKDTree(on_sphere(origins)).sparse_distance_matrix(
        cKDTree(on_sphere(places)), chord(3 * smooth_metres), output_type="ndarray"
    )
    shares = np.exp(-0.5 * (near["v"] / chord(smooth_metres)) ** 2)
    of_origin = np.bincount(near["i"], shares, minlength=len(origins))
    shares *= (weights / np.maximum(of_origin, 1e-12))[near["i"]]
    spread: FloatArray = np.bincount(near["j"], shares, minlength=len(places)).astype(np.float64)
    return spread
