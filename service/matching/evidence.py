"""Decides whether a leg counts as evidence of travel times, and how much it counts.

Distances are metres, durations seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

import numpy as np

from service.matching.correction import Correction, Drives, Leg
from service.matching.travel import FloatArray

SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 5400.0
SHORTEST_METRES, LONGEST_METRES = 50.0, 100_000.0
LARGEST_SURPRISE: Final = np.log(5.0)
"""A leg outside these bounds, or more than five times quicker or slower than both the estimate and
the prior, is an error of a driver or of GPS and is left out. For a short leg, the limit is 84 km/h
by straight line. The bounds must keep the quick drives among the short ones, or the rest teaches
times that are too long: in light traffic half the drives of 75 m take less than 13 s."""

LARGEST_SHARE: Final = 0.05
"""The largest part of the evidence of all legs that one unicorn can have."""
ROUNDS_OF_SHARING: Final = 20
"""How many times the bound on a unicorn's evidence is computed. To cut the evidence of a unicorn
makes the total smaller, and the bound is a share of the total, so it is computed again. With one
unicorn above the bound, two times are enough; with ten, seven."""

NOISY_METRES: Final = 500.0
"""Below about this distance, the logarithm of real ÷ estimated time is mostly chance: a one-way
street makes 100 m take 10 s or 200 s. Measured on Manhattan's streets, the spread is 1.2 at 100 m,
0.5 at 300 m and 0.25 beyond 1 km."""


def usable(legs: Iterable[Leg], prior: Correction, now: float) -> list[Leg]:
    """The legs to learn from: of possible length, and not absurdly quick or slow.

    Legs that end after `now` (seconds since 1970) were noted before a clock was set back.
    """
    possible = [
        leg
        for leg in legs
        if SHORTEST_METRES <= leg.metres <= LONGEST_METRES
        and SHORTEST_SECONDS <= leg.seconds <= LONGEST_SECONDS
        and leg.estimated > 0
        and leg.started + leg.seconds <= now
    ]
    if not possible:
        return []
    ratios = log_ratios(possible)
    least, most = around(prior.logarithms(Drives.of(possible)), -LARGEST_SURPRISE, LARGEST_SURPRISE)
    return list(compress(possible, (least <= ratios) & (ratios <= most)))


def around(prior: FloatArray, below: float, above: float) -> tuple[FloatArray, FloatArray]:
    """A range of logarithms around two expectations: the estimate as it is (0), and the prior.

    The range goes from the smaller expectation plus `below` (negative) to the larger one plus
    `above`. They can differ so much that a range around one of them leaves out the other.
    """
    return np.minimum(prior, 0.0) + below, np.maximum(prior, 0.0) + above


def log_ratios(legs: Sequence[Leg]) -> FloatArray:
    return np.log([leg.seconds / leg.estimated for leg in legs])


def noise(legs: Sequence[Leg]) -> FloatArray:
    """The spread of each leg's logarithm, relative to that of a long leg."""
    relative: FloatArray = np.hypot(1.0, NOISY_METRES / np.array([leg.metres for leg in legs]))
    return relative


def fair(weights: FloatArray, legs: Sequence[Leg]) -> FloatArray:
    """Reduce the weights of unicorns that have more than their share, and scale the mean to 1.

    A share is a part of the evidence, in which a noisy (short) leg counts less. If each leg counted
    the same, the few long drives of one unicorn could outweigh many short drives of others.
    """
    numbers = np.unique([leg.unicorn_id for leg in legs], return_inverse=True)[1]
    totals = np.bincount(numbers, weights / noise(legs) ** 2)
    bound = totals.max()
    for _ in range(ROUNDS_OF_SHARING):
        bound = LARGEST_SHARE * np.minimum(totals, bound).sum()
    bounded = weights * np.minimum(1.0, bound / totals)[numbers]
    scaled: FloatArray = bounded * len(bounded) / bounded.sum()
    return scaled
