"""The matching, on costs alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from service.matching.assignment import CandidatePairs, cheapest

UNMATCHED = 1000.0


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Costs of up to 7 × 7 pairs, ties likely; infinite where there is no pair."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    cost = st.one_of(st.integers(-50, 900), st.sampled_from([0, 1]), st.just(np.inf))
    size = shape[0] * shape[1]
    values = draw(st.lists(cost, min_size=size, max_size=size))
    return np.array(values, dtype=float).reshape(shape)


def pairs_of(table: np.ndarray) -> CandidatePairs:
    riders, unicorns = np.nonzero(np.isfinite(table))
    costs = table[riders, unicorns]
    return CandidatePairs(riders, unicorns, costs, costs, costs)


def total(taken: CandidatePairs, unmatched: np.ndarray) -> float:
    assert len(set(taken.riders)) == len(set(taken.unicorns)) == len(taken)
    return float(taken.costs.sum() + np.delete(unmatched, taken.riders).sum())


def optimum(table: np.ndarray, unmatched: np.ndarray) -> float:
    nobody = np.where(np.eye(len(table), dtype=bool), unmatched, 1e7)
    dense = np.concatenate([np.where(np.isfinite(table), table, 1e7), nobody], axis=1)
    return float(dense[linear_sum_assignment(dense)].sum())


@given(tables(), st.randoms(use_true_random=False))
def test_the_cheapest_matching_costs_what_the_dense_optimum_costs(table, rng) -> None:
    unmatched = np.array([UNMATCHED + rng.randint(0, 500) for _ in table])
    pairs = pairs_of(table)
    found = total(cheapest(pairs, unmatched), unmatched)
    assert abs(found - optimum(table, unmatched)) < 1e-6


def test_no_rider_is_matched_without_pairs() -> None:
    pairs = pairs_of(np.full((2, 2), np.inf))
    assert len(cheapest(pairs, np.full(2, UNMATCHED))) == 0


def test_of_a_riders_equally_cheap_pairs_the_first_is_taken() -> None:
    pairs = pairs_of(np.array([[5.0, 3.0, 3.0], [1.0, 1.0, 4.0]]))
    chosen = cheapest(pairs, np.full(2, UNMATCHED))
    assert dict(zip(chosen.riders.tolist(), chosen.unicorns.tolist(), strict=True)) == {0: 1, 1: 0}
