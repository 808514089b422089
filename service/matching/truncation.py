"""Drives that are not seen yet, because only drives that have ended by now are.

A drive that takes half an hour and began ten minutes ago is not among the legs (right truncation),
so the legs are shorter than drives are. Each leg stands for some drives that are missing: for those
that took as long and began too late (Lynden-Bell 1971; no assumption on the distribution), and for
those that take longer than any that could be seen (by a normal distribution of the logarithm, and
only while a zone is younger than its longest drives).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import log_ndtr, ndtr

from service.matching.correction import Leg
from service.matching.travel import FloatArray

LARGEST_WEIGHT: Final = 8.0
"""The most missing drives of either sort for which one leg can stand."""


def _rooms(legs: Sequence[Leg], now: float) -> FloatArray:
    """The longest time that each leg could have taken and still have ended by now, seconds."""
    return np.array([max(now - leg.started, leg.seconds) for leg in legs])


def longest_visible(legs: Sequence[Leg], now: float) -> float:
    """The longest drive, in seconds, that an eighth of the legs had the time for."""
    return float(np.quantile(_rooms(legs, now), 1 - 1 / LARGEST_WEIGHT))


def drives_per_leg(legs: Sequence[Leg], now: float) -> FloatArray:
    """How many drives each leg stands for: those that took as long, ended by now or not.

    Of the drives that take t seconds only those are seen that began t seconds ago or earlier.
    """
    room = np.sort(_rooms(legs, now))
    took, number, count = np.unique(
        [leg.seconds for leg in legs], return_inverse=True, return_counts=True
    )
    # Legs that took no longer than these, and had the time to take as long.
    at_risk = np.cumsum(count) - np.searchsorted(room, took, side="left")
    # The part of all drives that is shorter than these; never 0, although few legs may say so.
    shorter = 1 - count / np.maximum(at_risk, count + 1)
    no_longer = np.append(np.cumprod(shorter[:0:-1])[::-1], 1.0)
    weights = (no_longer / at_risk)[number]
    bounded: FloatArray = np.minimum(weights / np.median(weights), LARGEST_WEIGHT)
    return bounded


def beyond(reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How many drives are beyond `reach` per leg below it, and their mean; standard deviations."""
    ended = np.maximum(ndtr(reach), 1 / (1 + LARGEST_WEIGHT))
    # Mean of a standard normal variable beyond `reach` (inverse Mills ratio).
    tail = np.exp(-(reach**2) / 2 - log_ndtr(-reach)) / np.sqrt(2 * np.pi)
    return (1 - ended) / ended, tail
