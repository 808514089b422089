"""The positions of a simulated unicorn while it drives."""

from __future__ import annotations

import pytest

from service.local.driving import METRES_PER_DEGREE, Leg, Place

HERE = Place(40.71, -74.0)
A_KILOMETRE_NORTH = Place(40.71 + 1000 / METRES_PER_DEGREE, -74.0)


def test_a_leg_takes_its_length_over_its_speed() -> None:
    leg = Leg(HERE, A_KILOMETRE_NORTH, departed=100.0, metres_per_second=50.0)
    assert leg.arrives == pytest.approx(120.0)
    assert HERE.metres_to(leg.at(105.0)) == pytest.approx(250.0)


def test_a_unicorn_stands_at_the_ends_of_its_leg_before_and_after() -> None:
    leg = Leg(HERE, A_KILOMETRE_NORTH, departed=100.0, metres_per_second=50.0)
    assert leg.at(0.0) == HERE
    assert HERE.metres_to(leg.at(999.0)) == pytest.approx(1000.0)


def test_a_unicorn_that_stands_is_at_its_place_at_any_time() -> None:
    leg = Leg.standing(HERE)
    assert leg.at(12345.0) == HERE
    assert leg.arrives <= 12345.0


@pytest.mark.parametrize(
    ("destination", "degrees"),
    [(A_KILOMETRE_NORTH, 0.0), (Place(40.71, -73.9), 90.0), (Place(40.71, -74.1), 270.0)],
)
def test_headings_are_degrees_clockwise_from_north(destination: Place, degrees: float) -> None:
    assert HERE.heading_to(destination) == pytest.approx(degrees)


def test_a_degree_of_longitude_is_shorter_than_one_of_latitude() -> None:
    assert HERE.metres_to(Place(40.71, -73.99)) == pytest.approx(842.8, abs=0.5)
