"""Travel times are learned from completed legs, within bounds, and not from one unicorn alone."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from service.matching.correction import AS_ESTIMATED, KNOTS, Correction, Drives, Leg, power_law
from service.matching.evidence import LARGEST_SHARE, fair, noise
from service.matching.learning import (
    DISTANCE_CHANGE,
    LEGS_PER_CELL,
    MOST_ABOVE,
    MOST_BELOW,
    OTHER_CHANGE,
    UNICORNS_NEEDED,
    learn,
)
from service.matching.travel import GreatCircle

NOW = 100_000.0
PRIOR = AS_ESTIMATED


def legs_of(
    count: int = 1500,
    *,
    factor: float = 2.0,
    spread: float = 0.3,
    unicorns: int = 100,
    window: float = 36_000.0,
    seed: int = 1,
) -> list[Leg]:
    """Legs that take `factor` times their estimate in the median, begun evenly over the window.

    Only those that ended by now are there, as in the service.
    """
    rng = np.random.default_rng(seed)
    legs = []
    for _ in range(count):
        metres = float(np.exp(rng.uniform(math.log(200), math.log(8000))))
        estimated = metres / 5
        seconds = estimated * factor * math.exp(rng.normal(0, spread))
        legs.append(
            Leg(
                origin=f"from-{rng.integers(4)}",
                destination=f"to-{rng.integers(4)}",
                metres=metres,
                bearing=float(rng.uniform(0, 2 * math.pi)),
                estimated=estimated,
                started=NOW - float(rng.uniform(0, window)),
                seconds=seconds,
                unicorn_id=f"u{rng.integers(unicorns)}",
            )
        )
    return [leg for leg in legs if leg.started + leg.seconds <= NOW]


def learned(legs: list[Leg], previous: Correction = PRIOR, fits: int = 8) -> Correction:
    """What stands after some fits on the same legs: one alone changes only so much."""
    for _ in range(fits):
        previous = learn(legs, NOW, PRIOR, previous) or previous
    return previous


def factors(
    correction: Correction, legs: list[Leg]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.exp(correction.logarithms(Drives.of(legs)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("factor", [0.7, 1.3, 2.0, 2.5])
def test_the_median_of_real_divided_by_told_time_is_one(factor: float) -> None:
    legs = legs_of(factor=factor)
    told = factors(learned(legs), legs) * [leg.estimated for leg in legs]
    assert np.median([leg.seconds for leg in legs] / told) == pytest.approx(1.0, abs=0.05)


def test_nine_of_ten_legs_end_by_the_latest() -> None:
    legs, fresh = legs_of(4000), legs_of(4000, seed=2)
    correction = learned(legs)
    latest = factors(correction, fresh) * correction.latest_factor
    below = np.mean([leg.seconds / leg.estimated for leg in fresh] <= latest)
    assert 0.87 <= below <= 0.93


def test_the_pace_is_that_of_the_median_leg_by_straight_line() -> None:
    # The estimate says 5 m/s, and legs take twice as long.
    metres_per_second = GreatCircle().reach_metres(1)
    assert learned(legs_of(factor=2.0)).pace == pytest.approx(metres_per_second / 2.5, rel=0.05)
    assert learned(legs_of(300, factor=4.5)).pace == pytest.approx(3.0, rel=0.3)


def test_drives_still_under_way_do_not_make_estimates_too_short() -> None:
    # They take 18 minutes in the median; many that began within this half hour have not ended.
    short_window = legs_of(4000, factor=1.5, spread=0.4, window=1800)
    seen = np.median(
        [leg.seconds / leg.estimated for leg in short_window if 2000 < leg.metres < 4000]
    )
    long_legs = [leg for leg in legs_of(factor=1.5) if 2000 < leg.metres < 4000]
    assert seen < 1.4
    assert np.median(factors(learned(short_window), long_legs)) == pytest.approx(1.5, rel=0.1)


def test_the_effects_of_distance_direction_and_ends_are_separated() -> None:
    legs = [
        leg._replace(
            seconds=leg.estimated
            * (1.5 if leg.metres < 1000 else 1.0)
            * (1.3 if leg.origin == "from-0" else 1.0)
            * math.exp(0.2 * math.cos(4 * leg.bearing))
        )
        for leg in legs_of(3000, spread=0.01)
    ]
    correction = learned(legs)
    errors = factors(correction, legs) * [leg.estimated for leg in legs]
    assert np.quantile(np.abs(np.log([leg.seconds for leg in legs] / errors)), 0.8) < 0.12
    assert correction.by_origin["from-0"] - correction.by_origin["from-1"] > 0.15
    assert correction.by_direction[2] == pytest.approx(0.2, abs=0.03)


def test_a_fit_moves_every_coefficient_within_its_limit() -> None:
    correction = learn(legs_of(factor=2.5), NOW, PRIOR, PRIOR)
    assert correction is not None
    assert np.abs(correction.by_distance).max() <= DISTANCE_CHANGE + 1e-9
    others = [*correction.by_direction, *correction.by_origin.values()]
    assert np.abs(others).max() <= OTHER_CHANGE + 1e-9


@pytest.mark.parametrize("factor", [0.22, 4.5])
def test_no_legs_move_a_factor_beyond_its_bounds(factor: float) -> None:
    correction = learned(legs_of(factor=factor, spread=0.02), fits=30)
    assert min(correction.by_distance) >= MOST_BELOW - 1e-9
    assert max(correction.by_distance) <= MOST_ABOVE + 1e-9


CURVE = power_law(353.0, 0.58, metres_per_second=5.0)


def short_legs(seconds_per_metre: float, spread: float, count: int = 1500) -> list[Leg]:
    """Legs of 60 to 400 m, many of them shorter than half a minute."""
    rng = np.random.default_rng(7)
    return [
        leg._replace(
            metres=metres,
            estimated=metres / 5,
            seconds=metres * seconds_per_metre * math.exp(rng.normal(0, spread)),
        )
        for leg in legs_of(count)
        for metres in [float(np.exp(rng.uniform(math.log(60), math.log(400))))]
    ]


def curve_learned(legs: list[Leg]) -> Correction:
    """What riders are told by straight line after ten fits: before the first, the curve."""
    correction = CURVE
    for _ in range(10):
        correction = learn(legs, NOW, CURVE, correction) or correction
    return correction


@pytest.mark.parametrize("spread", [0.05, 0.7])
def test_riders_are_told_the_straight_lines_time_where_it_is_right(spread: float) -> None:
    legs = short_legs(1 / 5, spread)
    ratios = factors(curve_learned(legs), legs) * [leg.estimated / leg.seconds for leg in legs]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.07)


def test_quick_short_drives_count_as_much_as_slow_ones() -> None:
    # A drive of 60 m takes 4 to 70 s, 17 s in the median.
    legs = [leg for leg in short_legs(1 / 3.5, 0.7) if leg.metres < 150]
    ratios = factors(curve_learned(legs), legs) * [leg.estimated / leg.seconds for leg in legs]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("metres_per_second", [20.0, 0.4])
def test_false_drives_move_the_curve_no_farther_than_its_bounds(metres_per_second: float) -> None:
    correction = curve_learned(short_legs(1 / metres_per_second, 0.02, count=300))
    by_distance = np.array(correction.by_distance)
    least = np.minimum(CURVE.by_distance, 0.0) + MOST_BELOW
    most = np.maximum(CURVE.by_distance, 0.0) + MOST_ABOVE
    assert (by_distance >= least - 1e-9).all()
    assert (by_distance <= most + 1e-9).all()


def test_with_few_unicorns_the_prior_holds() -> None:
    assert learn(legs_of(unicorns=UNICORNS_NEEDED - 1), NOW, PRIOR, PRIOR) is None
    assert learn([], NOW, PRIOR, PRIOR) is None


def test_one_unicorn_cannot_teach_a_zone_alone() -> None:
    honest = legs_of(400, factor=1.0, spread=0.1)
    liar = [leg._replace(unicorn_id="liar") for leg in legs_of(2000, factor=2.5, seed=3)]
    correction = learned([*honest, *liar])
    assert np.median(factors(correction, honest)) < 1.25


def test_one_unicorn_cannot_keep_a_zone_from_learning() -> None:
    honest = legs_of(400, factor=2.0, spread=0.1)
    liar = [leg._replace(unicorn_id="liar") for leg in legs_of(2000, factor=1.0, seed=3)]
    correction = learned([*honest, *liar])
    assert np.median(factors(correction, honest)) > 1.6


@pytest.mark.parametrize("metres_of_the_others", [5_000.0, 100.0])
def test_a_flood_of_legs_of_one_unicorn_is_no_more_than_its_share_of_the_evidence(
    metres_of_the_others: float,
) -> None:
    others = [leg._replace(metres=metres_of_the_others) for leg in legs_of(400)]
    flood = [leg._replace(metres=5_000.0, unicorn_id="flood") for leg in legs_of(2000, seed=3)]
    legs = [*others, *flood]
    evidence = fair(np.ones(len(legs)), legs) / noise(legs) ** 2
    share = evidence[len(others) :].sum() / evidence.sum()
    assert share == pytest.approx(LARGEST_SHARE, rel=0.01)


def test_one_liar_in_a_cell_does_not_make_it_slow() -> None:
    honest = legs_of(1000, factor=1.0, spread=0.1)
    liar = [
        leg._replace(unicorn_id="liar", origin="cell-of-the-liar")
        for leg in legs_of(LEGS_PER_CELL * 10, factor=2.5, seed=3)
    ]
    correction = learned([*honest, *liar])
    assert correction.by_origin.get("cell-of-the-liar", 0.0) < 0.7 * math.log(2.5)


@pytest.mark.parametrize(
    "odd",
    [
        {"seconds": 1.0},
        {"seconds": 4.0, "metres": 60.0, "estimated": 12.0},
        {"seconds": 100.0, "metres": 3_000.0, "estimated": 600.0},
        {"seconds": 5_401.0},
        {"metres": 10.0},
        {"metres": 2e5},
        {"estimated": 0.0},
        {"estimated": 1.0},
    ],
)
def test_odd_legs_teach_nothing(odd: dict[str, float]) -> None:
    legs = legs_of(600)
    slips = [leg._replace(**odd) for leg in legs_of(600, seed=4)]  # type: ignore[arg-type]
    assert learn([*legs, *slips], NOW, PRIOR, PRIOR) == learn(legs, NOW, PRIOR, PRIOR)


def test_chance_on_short_drives_hardly_changes_long_ones() -> None:
    # One-way streets: a drive of 100 m takes 30 s or 300 s, whatever its direction and its ends.
    rng = np.random.default_rng(5)
    long_legs = [leg for leg in legs_of(600, spread=0.2) if leg.metres > 600]
    short_legs = [
        leg._replace(
            metres=100.0,
            estimated=60.0,
            seconds=60.0 * 2.0 * math.exp(rng.uniform(-1.5, 0.7)),
            origin=f"from-{rng.integers(60)}",
        )
        for leg in legs_of(1200, seed=6)
    ]
    correction = learned([*long_legs, *short_legs])
    by_cell = [correction.by_origin.get(f"from-{n}", 0.0) for n in range(60)]
    assert max(map(abs, [*by_cell, *correction.by_direction])) < 0.1


def test_a_fit_that_predicts_the_held_back_legs_worse_is_not_used() -> None:
    legs = legs_of(factor=1.0, spread=0.3)
    at_its_best = learned(legs, fits=12)
    long_legs = [leg for leg in legs if leg.metres > 600]
    held_back_only = [
        leg._replace(seconds=leg.estimated * (0.4 if number % 5 else 2.5))
        for number, leg in enumerate(sorted(long_legs, key=lambda leg: leg.started))
    ]
    assert learn(held_back_only, NOW, PRIOR, at_its_best) is None


def test_nothing_is_learned_from_legs_that_end_in_the_future() -> None:
    assert learn(legs_of(5000, window=1e6), NOW - 1e6, PRIOR, PRIOR) is None


def test_the_order_of_the_legs_does_not_matter() -> None:
    legs = legs_of(500)
    once, again = learn(legs, NOW, PRIOR, PRIOR), learn(legs[::-1], NOW, PRIOR, PRIOR)
    assert once is not None
    assert again is not None
    assert np.allclose(once.by_distance, again.by_distance)


def test_a_power_law_gives_the_seconds_of_a_kilometre() -> None:
    correction = power_law(353.0, 0.58, metres_per_second=4.7)
    drives = Drives(["a"], ["b"], np.array([1000.0]), np.array([0.0]), ["0"])
    seconds = 1000 / 4.7 * np.exp(correction.logarithms(drives))
    assert seconds[0] == pytest.approx(353.0, rel=0.02)


def test_beyond_the_outer_knots_a_correction_is_constant() -> None:
    correction = replace(AS_ESTIMATED, by_distance=tuple(float(n) for n in range(len(KNOTS))))
    drives = Drives(["a"] * 2, ["b"] * 2, np.array([1.0, 1e6]), np.zeros(2), ["0"] * 2)
    assert correction.logarithms(drives).tolist() == [0.0, len(KNOTS) - 1.0]


def test_the_fit_is_the_one_that_was_measured() -> None:
    """Every formula and weight of the fit moves one of these numbers."""
    legs = legs_of(900, factor=1.7, spread=0.4, unicorns=60, window=14_400)
    # One unicorn has more than its share.
    legs = [leg._replace(unicorn_id="u0") if n % 6 == 0 else leg for n, leg in enumerate(legs)]
    found = prior = power_law(300.0, 0.7, 5.0)
    for _ in range(8):
        found = learn(legs, NOW, prior, found) or found
    by_distance = [0.694323, 0.4406, 0.42351, 0.433609, 0.445766, 0.472914, 0.2899]
    by_direction = [-0.01086, -0.017238, -0.00412, -0.031415]
    origins = [0.007337, 0.029617, 0.031591, -0.007669]
    destinations = [-0.004547, -0.006435, 0.016767, 0.055091]
    hours = [0.042333, 0.023859, 0.058456, -0.013972]
    near = partial(pytest.approx, abs=1e-5)
    assert found.by_distance == near(tuple(by_distance))
    assert found.by_direction == near(tuple(by_direction))
    assert found.by_origin == near({f"from-{n}": value for n, value in enumerate(origins)})
    assert found.by_destination == near({f"to-{n}": value for n, value in enumerate(destinations)})
    assert found.by_hour == near({f"{24 + n}": value for n, value in enumerate(hours)})
    assert (found.spread, found.pace) == near((0.444125, 1.548624))
