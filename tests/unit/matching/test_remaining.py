"""The remaining time of trips under way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.matching.remaining import RemainingTime
from tests.support.markets import AS_ESTIMATED


def left(remaining: RemainingTime, estimated: float, elapsed: float) -> float:
    return float(remaining.seconds(np.array([estimated]), np.array([elapsed]))[0])


def test_without_learned_tables_the_estimate_minus_the_elapsed_time_is_left() -> None:
    assert left(AS_ESTIMATED, 600, 0) == 600
    assert left(AS_ESTIMATED, 600, 450) == 150
    assert left(AS_ESTIMATED, 600, 900) == 0


def test_tables_are_read_between_their_points_and_held_beyond_them() -> None:
    remaining = RemainingTime(usual=((100.0, 300.0), (2.0, 1.0)), left=((0.0, 2.0), (1.0, 0.5)))
    assert left(remaining, 200, 0) == pytest.approx(300)
    assert left(remaining, 1000, 0) == pytest.approx(1000)
    assert left(remaining, 10, 0) == pytest.approx(200)
    assert left(remaining, 200, 300) == pytest.approx(0.75 * 300)
    assert left(remaining, 200, 9000) == pytest.approx(0.5 * 300)


def test_short_trips_are_expected_to_take_longer_than_estimated_and_long_ones_shorter() -> None:
    remaining = RemainingTime.default()
    assert left(remaining, 120, 0) > 120
    assert left(remaining, 1800, 0) < 1800


def test_a_trip_that_took_longer_than_usual_is_not_expected_to_end_at_once() -> None:
    assert left(RemainingTime.default(), 600, 900) > 120


@pytest.mark.parametrize("remaining", [RemainingTime.default(), RemainingTime.of_learned()])
@pytest.mark.parametrize("elapsed", [0, 60, 300])
def test_a_round_trip_is_not_expected_to_end_at_once(
    remaining: RemainingTime, elapsed: float
) -> None:
    assert left(remaining, 0, elapsed) > 45


@given(st.floats(0, 1e5), st.floats(-100, 1e6))
def test_the_remaining_time_is_finite_and_not_negative(estimated: float, elapsed: float) -> None:
    for remaining in (RemainingTime.default(), RemainingTime.of_learned(), AS_ESTIMATED):
        assert 0 <= left(remaining, estimated, elapsed) <= 1e6
