"""When a unicorn is not coming, and when another one is worth a change."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.core.coming import is_better, is_not_coming, most_taken_back

SECONDS = st.floats(0, 10_000)
WAYS = st.lists(SECONDS, max_size=5)


@given(told=SECONDS, left=SECONDS, way=WAYS, was_not_coming=st.booleans())
def test_a_unicorn_is_not_coming_if_it_drove_away_and_needs_far_longer_than_told(
    told: float, left: float, way: list[float], was_not_coming: bool
) -> None:
    drove_away = len(way) >= 3 and all(a < b for a, b in pairwise(way[-3:]))
    far_longer = left - told > told and left - told > 180
    assert is_not_coming(told, left, way, was_not_coming=was_not_coming) == (
        far_longer and (drove_away or was_not_coming)
    )


@given(told=SECONDS, left=SECONDS, more=SECONDS, way=WAYS)
def test_whoever_is_farther_away_is_not_coming_all_the_more(
    told: float, left: float, more: float, way: list[float]
) -> None:
    assert is_not_coming(told, left, way) <= is_not_coming(told, left + more, way)


def test_a_short_drive_may_take_three_minutes_more_and_a_long_one_twice_as_long() -> None:
    away = [100.0, 200.0, 300.0]
    assert [is_not_coming(47, left, away) for left in (227, 228)] == [False, True]
    assert [is_not_coming(400, left, away) for left in (800, 801)] == [False, True]


def test_another_unicorn_is_better_if_it_saves_two_minutes() -> None:
    assert [is_better(other, 200) for other in (80, 81)] == [True, False]
    assert is_better(480, math.inf)


@given(assigned=st.integers(0, 100_000))
def test_at_most_one_ride_in_twenty_is_taken_back_and_always_one(assigned: int) -> None:
    assert most_taken_back(assigned) == max(1, assigned * 5 // 100)
