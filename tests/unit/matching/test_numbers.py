"""Numbers of the matching that were measured, or that other tests use by their names only."""

from __future__ import annotations

import math

from service.matching import (
    correction,
    costs,
    demand,
    evidence,
    following,
    goals,
    learning,
    quotes,
    repositioning,
    travel,
    truncation,
    zones,
)
from service.matching.remaining import RemainingTime
from service.matching.tuning import KNOBS, Repositioning, Tuning, tuning_with_repositioning
from service.model import RepositioningLevel


def test_the_weights_of_a_round_are_those_that_were_measured() -> None:
    assert Tuning() == Tuning(
        max_pickup_eta_seconds=480,
        plan_seconds=480,
        deadline_seconds=180,
        equal_metres=100,
        driving_weight=0.3,
        on_time_seconds=270,
        lateness_weight=2,
        hysteresis_seconds=30,
        priority_seconds=60,
        neighbours=16,
        most_pairs=100_000,
    )
    weights = {
        level: (tuning.driving_weight, tuning.on_time_seconds)
        for level in RepositioningLevel
        for tuning in [tuning_with_repositioning(Tuning(), level)]
    }
    assert weights == {
        RepositioningLevel.OFF: (0.3, 270),
        RepositioningLevel.LEAN: (1.0, 210),
        RepositioningLevel.STRONG: (0.6, 210),
    }
    assert (costs.LEFT_OUT, costs.NOBODY) == (2, -1)


def test_the_weights_of_repositioning_are_those_that_were_measured() -> None:
    assert Repositioning() == Repositioning(
        drive_weight=1.25,
        stay_seconds=150,
        worth_seconds=300,
        horizon_seconds=300,
        remembered_seconds=900,
        rate_seconds=300,
        smooth_metres=600,
        least_riders=20,
        least_chance=0.05,
        hysteresis_seconds=30,
    )
    assert {
        RepositioningLevel.LEAN: Repositioning(),
        RepositioningLevel.STRONG: Repositioning(drive_weight=0.7),
    } == KNOBS
    assert (repositioning.MOST_PAIRS, repositioning.COMPARED_PER_SLOT) == (10_000, 3)
    assert (goals.BLOCK_RESOLUTION, goals.MOST_SLOTS) == (6, 12)
    assert (demand.PICKUP_RESOLUTION, demand.GOAL_RESOLUTION) == (10, 8)


def test_legs_teach_within_the_bounds_that_are_documented() -> None:
    bounds = evidence.SHORTEST_SECONDS, evidence.LONGEST_SECONDS
    assert bounds == (5, 90 * 60)
    assert (evidence.SHORTEST_METRES, evidence.LONGEST_METRES) == (50, 100_000)
    assert (math.log(5), 0.05, 500) == (
        evidence.LARGEST_SURPRISE,
        evidence.LARGEST_SHARE,
        evidence.NOISY_METRES,
    )
    assert evidence.ROUNDS_OF_SHARING == 20
    assert truncation.LARGEST_WEIGHT == 8


def test_a_correction_is_learned_as_carefully_as_documented() -> None:
    assert (math.log(0.5), math.log(3)) == (learning.MOST_BELOW, learning.MOST_ABOVE)
    assert (learning.DISTANCE_CHANGE, learning.OTHER_CHANGE) == (0.25, 0.1)
    assert (learning.UNICORNS_NEEDED, learning.CELLS_AT_MOST) == (20, 120)
    assert (learning.LEGS_PER_CELL, learning.LEGS_PER_HOUR, learning.HOURS_AT_LEAST) == (8, 100, 3)
    ridges = learning.LEVEL_RIDGE, learning.SHAPE_RIDGE, learning.DIRECTION_RIDGE
    assert (*ridges, learning.CELL_RIDGE, learning.HOUR_RIDGE) == (5, 5, 10, 12, 30)
    assert (learning.HUBER, learning.ITERATIONS, learning.CONVERGED) == (2, 15, 0.002)
    assert (learning.TOLERANCE, learning.HELD_BACK) == (0.02, 5)
    assert (*(0.2, 0.5, 0.01),) == (
        following.LEAST_PACE,
        following.TRUST_CHANGE,
        following.TRUST_REGAINED,
    )


def test_a_correction_has_the_form_that_is_documented() -> None:
    assert correction.KNOTS == (150, 350, 700, 1400, 2800, 5600, 11_200)
    assert (correction.FIRST_SPREAD, correction.NINETIETH) == (0.4, 1.2816)
    assert (correction.CELL_RESOLUTION, quotes.NEAR) == (8, 0.2)


def test_the_earth_and_its_zones_are_as_large_as_documented() -> None:
    assert travel.EARTH_RADIUS_METRES == 6_371_008.8
    assert travel.GreatCircle() == travel.GreatCircle(detour=1.37, speed_kmh=23.1)
    assert (zones.RESOLUTION, zones.GENEROUS, zones.WIDEST_ZONE_DEGREES) == (3, 1.001, 1)


def test_the_remaining_time_is_what_trips_in_new_york_took() -> None:
    assert RemainingTime.default() == RemainingTime(
        usual=(
            (60, 120, 240, 360, 480, 720, 960, 1200, 1800),
            (4.6, 1.75, 1.47, 1.29, 1.21, 1, 0.88, 0.8, 0.66),
        ),
        left=(
            (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5),
            (0.98, 0.73, 0.5, 0.33, 0.26, 0.26, 0.44, 0.8, 0.57),
        ),
    )
