"""Weights correct for the drives that have not ended, which are not among the legs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from service.matching.correction import Leg
from service.matching.truncation import LARGEST_WEIGHT, beyond, drives_per_leg, longest_visible

NOW = 100_000.0


def legs_that_took(seconds: list[float], window: float) -> list[Leg]:
    """Drives begun evenly over the last `window` seconds, without those that have not ended."""
    starts = NOW - window * np.random.default_rng(1).uniform(size=len(seconds))
    return [
        Leg("a", "b", 1000.0, 0.0, 100.0, float(start), took, "u1")
        for start, took in zip(starts, seconds, strict=True)
        if start + took <= NOW
    ]


def share_of_long(legs: list[Leg], weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.average([leg.seconds > 300 for leg in legs], weights=weights))


@pytest.mark.parametrize("window", [900.0, 1200.0, 3600.0])
def test_long_drives_get_the_weight_of_those_that_have_not_ended(window: float) -> None:
    legs = legs_that_took([60.0, 600.0] * 2000, window)
    assert share_of_long(legs, np.ones(len(legs))) < 0.48
    assert share_of_long(legs, drives_per_leg(legs, NOW)) == pytest.approx(0.5, abs=0.03)


def test_where_all_drives_have_ended_each_stands_for_itself() -> None:
    legs = [leg._replace(started=NOW - 5000) for leg in legs_that_took([60.0, 600.0] * 100, 1e5)]
    assert drives_per_leg(legs, NOW) == pytest.approx(np.ones(len(legs)), rel=0.02)


def test_a_leg_alone_stands_for_a_bounded_number_of_drives() -> None:
    rare = Leg("a", "b", 1000.0, 0.0, 100.0, NOW - 1200, 1190.0, "u1")
    weights = drives_per_leg([*legs_that_took([60.0] * 500, 1200), rare], NOW)
    assert weights.max() == LARGEST_WEIGHT
    assert weights.min() > 0


def test_a_drive_that_an_eighth_of_the_legs_had_time_for_is_visible() -> None:
    legs = legs_that_took([10.0] * 4000, 800)
    assert longest_visible(legs, NOW) == pytest.approx(700, rel=0.02)


def test_a_leg_from_a_clock_that_is_ahead_had_the_time_that_it_took() -> None:
    ahead = Leg("a", "b", 1000.0, 0.0, 100.0, NOW + 60, 200.0, "u1")
    assert longest_visible([ahead], NOW) == 200
    assert drives_per_leg([ahead], NOW) == pytest.approx([1.0])


def test_the_drives_beyond_the_median_are_as_many_as_those_below() -> None:
    per_leg, mean = beyond(np.array([0.0, 6.0, -9.0]))
    assert per_leg == pytest.approx([1.0, 0.0, LARGEST_WEIGHT], abs=1e-6)
    assert mean[0] == pytest.approx(math.sqrt(2 / math.pi))
    assert np.isfinite(mean).all()
