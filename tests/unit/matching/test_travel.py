"""Great-circle estimates against known distances, and the scalar form against the columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.matching.travel import GreatCircle, TravelTimes, crow_metres, places, seconds_between
from service.model import Location

TRAVEL = GreatCircle()
anywhere = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))


def test_an_estimate_is_the_straight_line_with_a_detour_at_a_constant_speed() -> None:
    travel: TravelTimes = GreatCircle(detour=2.0, speed_kmh=36.0)
    degree = np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])
    seconds, metres = travel.estimate(*degree)
    assert metres[0] == pytest.approx(2 * 111_195, rel=1e-4)
    assert seconds[0] == pytest.approx(metres[0] / 10)
    assert travel.reach_metres(10) == pytest.approx(50)


def test_the_defaults_reach_some_two_kilometres_in_eight_minutes() -> None:
    assert TRAVEL.reach_metres(480) == pytest.approx(2248, abs=1)


@given(anywhere, anywhere)
def test_single_pairs_and_columns_agree(a: Location, b: Location) -> None:
    seconds, metres = TRAVEL.estimate(places([a]), places([b]))
    assert seconds_between(TRAVEL, a, b) == seconds[0]
    assert TRAVEL.crow_metres(a, b) * TRAVEL.detour == pytest.approx(metres[0], abs=0.51, rel=1e-6)


@given(anywhere, anywhere)
def test_a_place_within_reach_is_reached_in_time(a: Location, b: Location) -> None:
    seconds, _ = TRAVEL.estimate(places([a]), places([b]))
    crow = TRAVEL.crow_metres(a, b)
    assert TRAVEL.reach_metres(seconds[0]) == pytest.approx(crow, abs=1, rel=1e-6)


def test_the_date_line_and_the_poles_are_nothing_special() -> None:
    assert TRAVEL.crow_metres(Location(0, 179.999), Location(0, -179.999)) < 250
    assert TRAVEL.crow_metres(Location(90, 0), Location(90, 137)) < 0.001
    assert crow_metres(np.array([[89.999, 0]]), np.array([[89.999, 180]]))[0] < 250


def test_an_estimate_of_no_drives_is_empty() -> None:
    seconds, metres = TRAVEL.estimate(places([]), places([]))
    assert len(seconds) == len(metres) == 0
