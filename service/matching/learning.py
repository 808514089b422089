"""Corrections of travel-time estimates, learned from the legs that unicorns really drove.

A leg is one drive with a known end: to a pickup, or from a pickup to a dropoff. Its real duration
divided by its estimate is a ratio. The model predicts the logarithm of that ratio from distance,
direction, both ends and hour, by a robust ridge regression (Hoerl and Kennard 1970; Huber 1964).
It corrects a straight line and a routing engine alike: an engine that believes in empty streets is
wrong by about the same factor for everybody.

Only drives that have ended are legs, and short drives end sooner, so the legs are too short on
average. `truncation` says how the fit allows for that.

Pure: no clock and no I/O. Distances are metres, durations seconds, angles radians clockwise from
north, corrections natural logarithms of factors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy.linalg import block_diag

from service.matching.correction import FIRST_SPREAD, KNOTS, Correction, Drives, Leg, hats, waves
from service.matching.evidence import around, fair, log_ratios, noise, usable
from service.matching.travel import FloatArray, GreatCircle
from service.matching.truncation import beyond, drives_per_leg, longest_visible

MOST_BELOW, MOST_ABOVE = np.log(0.5), np.log(3.0)
"""How far legs may move the logarithm of a factor by distance: this far below the smaller, or above
the larger, of two expectations, the estimate as it is and the prior. Bounded, because one operator
may own many unicorns and report false drives. Both expectations count: for short drives the prior
is four times the straight line's time, so half the prior would still be twice too long where the
straight line is right.
"""

DISTANCE_CHANGE: Final = 0.25
OTHER_CHANGE: Final = 0.1
"""How far one fit moves each coefficient, which limits how far one fit changes an estimate."""

UNICORNS_NEEDED: Final = 20
"""From legs of fewer different unicorns nothing is learned: the correction in use stays."""
CELLS_AT_MOST: Final = 120
"""The most cells, and the most hours, with a correction of their own: those with the most legs."""
LEGS_PER_CELL: Final = 8
"""The least legs of a cell for a correction of its own."""
LEGS_PER_HOUR: Final = 100
"""The least legs of an hour of the week for a correction of its own."""
HOURS_AT_LEAST: Final = 3
"""With fewer such hours, none has a correction of its own."""

LEVEL_RIDGE, SHAPE_RIDGE, DIRECTION_RIDGE, CELL_RIDGE, HOUR_RIDGE = 5.0, 5.0, 10.0, 12.0, 30.0
"""Weight of the prior: a coefficient seen in so many legs is halfway to what the legs say. Of
distance, level and shape are weighed apart, so that short drives teach something about long ones.
"""

SPREAD_LEGS: Final = 5.0
"""The spread counts so many further legs with the first spread, because few give no reliable one.
"""

HUBER: Final = 2.0
"""Residuals beyond this many standard deviations have a bounded influence."""
ITERATIONS: Final = 15
CONVERGED: Final = 0.002
"""The fit ends when an iteration changes no coefficient by more than this."""
TOLERANCE: Final = 0.02
"""A new fit is accepted if its mean log error on the held-back legs is at most this much larger
than that of the correction in use, so that chance alone does not reject it."""
HELD_BACK: Final = 5
"""Every fifth leg is held back: it validates what the others teach."""


def learn(
    legs: Sequence[Leg], now: float, prior: Correction, previous: Correction
) -> Correction | None:
    """The correction learned from the completed legs of one zone and one kind.

    `legs`: all that ended in some recent time span up to `now` (seconds since 1970). `previous`:
    the correction in use; the result differs from it by a limited change. None if there are too few
    unicorns, or if a fit without the held-back legs predicts them worse than `previous` does, by
    more than `TOLERANCE`.
    """
    able = usable(legs, prior, now)
    if len({leg.unicorn_id for leg in able}) < UNICORNS_NEEDED:
        return None
    able.sort(key=lambda leg: leg.started)
    held_back, taught = able[::HELD_BACK], [leg for n, leg in enumerate(able) if n % HELD_BACK]
    longest = longest_visible(able, now)
    error, spread = _evaluated(_fit(taught, now, prior), held_back, now, longest)
    if error > _evaluated(previous, held_back, now, longest)[0] + TOLERANCE:
        return None
    return _limited(previous, _fit(able, now, prior), spread)


def _fit(legs: Sequence[Leg], now: float, prior: Correction) -> Correction:
    """Ridge regression towards the prior, by expectation and maximization.

    Expectation: each leg also stands for ghosts, similar drives that take too long to have ended,
    with their expected logarithm. Maximization: weighted least squares over legs and ghosts. The
    influence of residuals of real legs (Huber) and the weight of each unicorn are bounded.
    """
    drives = Drives.of(legs)
    keys = (
        _frequent(drives.origins, LEGS_PER_CELL),
        _frequent(drives.destinations, LEGS_PER_CELL),
        _distinct_hours(_frequent(drives.hours, LEGS_PER_HOUR)),
    )
    columns = (drives.origins, drives.destinations, drives.hours)
    design = np.hstack(
        [
            hats(drives.metres),
            waves(drives.bearings),
            *(_flags(column, frequent) for column, frequent in zip(columns, keys, strict=True)),
        ]
    )
    ridges = np.repeat((DIRECTION_RIDGE, CELL_RIDGE, CELL_RIDGE, HOUR_RIDGE), (4, *map(len, keys)))
    ridge = block_diag(_distance_ridge(), np.diag(ridges))
    target = log_ratios(legs) - prior.logarithms(drives)
    room = _log_room(legs, longest_visible(legs, now)) - prior.logarithms(drives)
    weights = fair(drives_per_leg(legs, now), legs)
    found = _expect_and_maximize(design, target, room, weights, noise(legs), ridge)
    ends = np.cumsum([len(KNOTS), 4, *map(len, keys)])[:-1]
    distance, direction, *effects = np.split(found, ends)
    by_distance = np.array(prior.by_distance)
    bounds = around(by_distance, MOST_BELOW, MOST_ABOVE)
    origins, destinations, hours = (
        dict(zip(frequent, map(float, values), strict=True))
        for frequent, values in zip(keys, effects, strict=True)
    )
    return Correction(
        by_distance=tuple(map(float, np.clip(by_distance + distance, *bounds))),
        by_direction=tuple(map(float, np.array(prior.by_direction) + direction)),
        by_origin=origins,
        by_destination=destinations,
        by_hour=hours,
        pace=_pace(legs, weights),
    )


def _pace(legs: Sequence[Leg], weights: FloatArray) -> float:
    """The weighted median of real ÷ straight-line time, within the bounds of all factors."""
    metres_per_second = GreatCircle().reach_metres(1)
    ratios = np.log([leg.seconds * metres_per_second / leg.metres for leg in legs])
    order = np.argsort(ratios)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(np.exp(np.clip(ratios[order][half], MOST_BELOW, MOST_ABOVE)))


def _distance_ridge() -> FloatArray:
    """The penalty on the mean of the knots' coefficients and on differences of neighbours."""
    differences = np.diff(np.eye(len(KNOTS)), axis=0)
    mean = np.full((len(KNOTS), len(KNOTS)), LEVEL_RIDGE / len(KNOTS) ** 2)
    ridge: FloatArray = mean + SHAPE_RIDGE * differences.T @ differences
    return ridge


def _expect_and_maximize(
    design: FloatArray,
    target: FloatArray,
    room: FloatArray,
    weights: FloatArray,
    noises: FloatArray,
    ridge: FloatArray,
) -> FloatArray:
    """The coefficients. `room`: the logarithm of the largest ratio that a leg could have.

    `noises`: the relative spread of each leg, by whose square it counts less.
    """
    found: FloatArray = np.zeros(design.shape[1])
    weights = weights / noises**2
    of_long_legs = FIRST_SPREAD
    for _ in range(ITERATIONS):
        spread = of_long_legs * noises
        expected = design @ found
        z = (room - expected) / spread
        per_leg, tail = beyond(z)
        ghosts = weights * per_leg
        errors = (target - expected) / spread
        pull = weights * np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-9))
        total = pull + ghosts
        mean = (pull * target + ghosts * (expected + spread * tail)) / total
        weighted = design * total[:, None]
        before = found
        solved = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ mean)
        found = np.asarray(solved, dtype=np.float64)
        squares = pull * errors**2 + ghosts * (1 + z * tail)
        of_long_legs *= float(np.sqrt(squares.sum() / total.sum()))
        if np.abs(found - before).max() < CONVERGED:
            break
    return found


def _evaluated(
    correction: Correction, legs: Sequence[Leg], now: float, longest: float
) -> tuple[float, float]:
    """The mean error of the logarithm, relative to the noise, and the spread of the slower half.

    The spread says how late a drive may end. Only slow legs count for it, because very short drives
    are often far quicker than their estimate, but not more often slow. As in the fit, no unicorn
    counts more than its share: one alone must not reject what the others teach.
    """
    expected = correction.logarithms(Drives.of(legs))
    errors, weights = log_ratios(legs) - expected, fair(drives_per_leg(legs, now), legs)
    room, spread = _log_room(legs, longest) - expected, FIRST_SPREAD
    for _ in range(ITERATIONS):
        z = room / spread
        per_leg, tail = beyond(z)
        late = np.where(errors > 0, weights, 0.0)
        ghosts = weights * per_leg
        squares = late @ errors**2 + ghosts @ (1 + z * tail) * spread**2
        total = late.sum() + ghosts.sum()
        squares += SPREAD_LEGS * FIRST_SPREAD**2
        spread = float(np.sqrt(squares / (total + SPREAD_LEGS)))
    return float(np.average(np.abs(errors), weights=weights / noise(legs))), spread


def _limited(previous: Correction, goal: Correction, spread: float) -> Correction:
    """The correction nearest to the goal whose change from `previous` is within the limits.

    The spread has no limit, because it changes no estimate, only how late a drive may end.
    """

    def moved(old: float, new: float, largest: float) -> float:
        return old + min(max(new - old, -largest), largest)

    def moved_all(old: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
        all_moved = {k: moved(old.get(k, 0.0), new.get(k, 0.0), OTHER_CHANGE) for k in {*old, *new}}
        return {key: value for key, value in all_moved.items() if value}

    return Correction(
        by_distance=tuple(
            moved(old, new, DISTANCE_CHANGE)
            for old, new in zip(previous.by_distance, goal.by_distance, strict=True)
        ),
        by_direction=tuple(
            moved(old, new, OTHER_CHANGE)
            for old, new in zip(previous.by_direction, goal.by_direction, strict=True)
        ),
        by_origin=moved_all(previous.by_origin, goal.by_origin),
        by_destination=moved_all(previous.by_destination, goal.by_destination),
        by_hour=moved_all(previous.by_hour, goal.by_hour),
        spread=spread,
        pace=math.exp(moved(math.log(previous.pace), math.log(goal.pace), DISTANCE_CHANGE)),
    )


def _log_room(legs: Sequence[Leg], longest: float) -> FloatArray:
    """For each leg, the logarithm of the ratio that a drive of `longest` seconds would have."""
    return np.log([longest / leg.estimated for leg in legs])


def _frequent(keys: Sequence[str], at_least: int) -> list[str]:
    ranked = Counter(keys).most_common(CELLS_AT_MOST)
    return [key for key, count in ranked if count >= at_least]


def _distinct_hours(hours: list[str]) -> list[str]:
    """The hours, if there are enough of them to separate their effects from the overall level."""
    return hours if len(hours) >= HOURS_AT_LEAST else []


def _flags(column: Sequence[str], frequent: Sequence[str]) -> FloatArray:
    """A matrix with a column per frequent key, which is 1 in the rows with that key."""
    at = {key: number for number, key in enumerate(frequent)}
    flags = np.zeros((len(column), len(frequent)))
    for row, key in enumerate(column):
        if key in at:
            flags[row, at[key]] = 1.0
    return flags
