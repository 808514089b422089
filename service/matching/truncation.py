"""Corrects for drives that have not ended yet (right truncation).

Legs are drives that have ended. A drive that takes half an hour and began ten minutes ago is not
among them, so legs are shorter than drives are in general. Two corrections allow for this:

- Each leg stands for drives that take as long and began too late to have ended (Lynden-Bell 1971;
  no assumption about the distribution).
- Each leg stands for drives that take longer than any leg could (assuming a normal distribution of
  the logarithm). These matter only in a zone that is younger than its longest drives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import log_ndtr, ndtr

from service.matching.correction import Leg
from service.matching.travel import FloatArray

LARGEST_WEIGHT: Final = 8.0
"""The most missing drives of each sort that one leg can stand for."""


def _rooms(legs: Sequence[Leg], now: float) -> FloatArray:
    """For each leg, the longest drive in seconds that would have ended by now."""
    return np.array([max(now - leg.started, leg.seconds) for leg in legs])


def longest_visible(legs: Sequence[Leg], now: float) -> float:
    """The longest visible drive, in seconds.

    A drive of this many seconds would have ended by now if it had begun with any of the oldest
    eighth of the legs.
    """
    return float(np.quantile(_rooms(legs, now), 1 - 1 / LARGEST_WEIGHT))


def drives_per_leg(legs: Sequence[Leg], now: float) -> FloatArray:
    """How many drives of the same duration each leg stands for, ended or not.

    A drive of t seconds is among the legs only if it began at least t seconds ago.
    """
    room = np.sort(_rooms(legs, now))
    took, number, count = np.unique(
        [leg.seconds for leg in legs], return_inverse=True, return_counts=True
    )
    # For each duration t, the risk set: legs that took at most t and began at least t ago.
    at_risk = np.cumsum(count) - np.searchsorted(room, took, side="left")
    # Of the drives that take at most t, the share that take less. Kept above 0: with few legs it
    # would otherwise be 0.
    shorter = 1 - count / np.maximum(at_risk, count + 1)
    # For each duration, the share of drives that take no longer.
    cdf = np.append(np.cumprod(shorter[:0:-1])[::-1], 1.0)
    weights = (cdf / at_risk)[number]
    bounded: FloatArray = np.minimum(weights / np.median(weights), LARGEST_WEIGHT)
    return bounded


def beyond(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each leg, the expected number of drives beyond the truncation point `z`, and their mean.

    `z` and the mean are in standard deviations.
    """
    ended = np.maximum(ndtr(z), 1 / (1 + LARGEST_WEIGHT))
    # Mean of a standard normal variable beyond `z` (inverse Mills ratio).
    tail = np.exp(-(z**2) / 2 - log_ndtr(-z)) / np.sqrt(2 * np.pi)
    return (1 - ended) / ended, tail
