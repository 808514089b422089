"""Corrections of travel-time estimates, learned from the legs that unicorns really drove.

A leg is one drive with a known end: to a pickup, or from a pickup to a dropoff. Its real duration
divided by its estimate is a ratio. The model predicts the logarithm of that ratio from distance,
direction, both ends and hour, by a robust ridge regression (Hoerl and Kennard 1970; Huber 1964).
It corrects a straight line and a routing engine alike: an engine that believes in empty streets is
wrong by about the same factor for everybody.

Legs that have ended by now are the short ones: a leg that takes half an hour and began ten minutes
ago is not among them. The fit allows for that (right truncation): each leg also stands for those
like it that began when it did and have not ended yet.

Pure: no clock and no I/O. Distances are metres, durations seconds, angles radians clockwise from
north, corrections natural logarithms of factors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Final

import numpy as np
from scipy.linalg import block_diag
from scipy.special import log_ndtr, ndtr

from service.matching.correction import (
    FIRST_SPREAD,
    KNOTS,
    Correction,
    Drives,
    Leg,
    hats,
    waves,
)
from service.matching.travel import FloatArray

SMALLEST_CHANGE, LARGEST_CHANGE = np.log(0.5), np.log(3.0)
"""How far legs may move the logarithm of a factor from the prior. Bounded, because one operator may
own many unicorns and report false drives."""

DISTANCE_STEP: Final = 0.25
OTHER_STEP: Final = 0.1
"""How far one fit moves each coefficient. So one fit changes the logarithm of an estimate by at
most DISTANCE_STEP + 4 · OTHER_STEP + the same for direction."""

SHORTEST_SECONDS, LONGEST_SECONDS = 20.0, 5400.0
SHORTEST_METRES, LONGEST_METRES = 50.0, 100_000.0
LARGEST_SURPRISE: Final = np.log(5.0)
"""A leg outside these bounds, or this far from the prior, is an error of a driver or of GPS and is
left out."""

UNICORNS_NEEDED: Final = 20
"""With legs of fewer different unicorns the prior stays in use."""
LARGEST_SHARE: Final = 0.05
"""The largest part of the weight of all legs that one unicorn can have."""

CELLS_AT_MOST: Final = 120
LEGS_PER_CELL: Final = 8
LEGS_PER_HOUR: Final = 100
"""The least legs of a cell or an hour for a correction of its own."""
HOURS_AT_LEAST: Final = 3

LEVEL_RIDGE, SHAPE_RIDGE, DIRECTION_RIDGE, CELL_RIDGE, HOUR_RIDGE = 5.0, 20.0, 10.0, 12.0, 30.0
"""Weight of the prior: a coefficient seen in so many legs is halfway to what the legs say. Of
distance, level and shape are weighed apart, so that short drives teach something about long ones.
"""

HUBER: Final = 2.0
"""Residuals beyond this many standard deviations have a bounded influence."""
LARGEST_GHOST: Final = 8.0
"""The most legs that have not ended yet for which one leg can stand."""
ITERATIONS: Final = 15
SPREADS: Final = np.linspace(0.1, 1.0, 46)
TOLERANCE: Final = 0.02
"""The likelihood per leg that a new fit may lose, so that none fails by chance."""
HELD_BACK: Final = 5
"""Every fifth of the latest legs checks what the others teach."""


def usable(legs: Iterable[Leg], prior: Correction) -> list[Leg]:
    """The legs to learn from: of possible length, and not absurdly far from the prior."""
    possible = [
        leg
        for leg in legs
        if SHORTEST_METRES <= leg.metres <= LONGEST_METRES
        and SHORTEST_SECONDS <= leg.seconds <= LONGEST_SECONDS
        and leg.estimated > 0
    ]
    if not possible:
        return []
    surprise = _log_ratios(possible) - prior.logarithms(Drives.of(possible))
    return list(compress(possible, np.abs(surprise) <= LARGEST_SURPRISE))


def learn(
    legs: Sequence[Leg], now: float, prior: Correction, previous: Correction
) -> Correction | None:
    """The correction learned from the completed legs of one zone and one kind.

    `legs`: all that ended in some recent time span up to `now` (seconds since 1970). `previous`:
    the correction in use; the result is at most one step away from it. None if there are too few
    unicorns, or if the result predicts the legs that were held back worse than `previous` does.
    """
    able = usable(legs, prior)
    if len({leg.unicorn_id for leg in able}) < UNICORNS_NEEDED:
        return None
    able.sort(key=lambda leg: leg.started)
    held_back, taught = able[::HELD_BACK], [leg for n, leg in enumerate(able) if n % HELD_BACK]
    likelihood, spread = _judged(_fit(taught, now, prior), held_back, now)
    if likelihood < _judged(previous, held_back, now)[0] - TOLERANCE:
        return None
    return _one_step(previous, _fit(able, now, prior), spread)


def _fit(legs: Sequence[Leg], now: float, prior: Correction) -> Correction:
    """Ridge regression towards the prior, by expectation and maximization.

    Expectation: a leg that had time until `now` to end also stands for ghosts, legs like it that
    have not ended yet, with their expected logarithm. Maximization: weighted least squares over
    both; residuals of real legs are bounded in force (Huber), and so is each unicorn's weight.
    """
    drives = Drives.of(legs)
    keys = (
        _frequent(drives.origins, LEGS_PER_CELL),
        _frequent(drives.destinations, LEGS_PER_CELL),
        _told_apart(_frequent(drives.hours, LEGS_PER_HOUR)),
    )
    columns = (drives.origins, drives.destinations, drives.hours)
    design = np.hstack(
        [
            hats(drives.metres),
            waves(drives.bearings),
            *(_flags(column, known) for column, known in zip(columns, keys, strict=True)),
        ]
    )
    weights = np.repeat((DIRECTION_RIDGE, CELL_RIDGE, CELL_RIDGE, HOUR_RIDGE), (4, *map(len, keys)))
    ridge = block_diag(_distance_ridge(), np.diag(weights))
    target = _log_ratios(legs) - prior.logarithms(drives)
    room = _log_room(legs, now) - prior.logarithms(drives)
    found = _expect_and_maximize(design, target, room, _fair_weights(legs), ridge)
    ends = np.cumsum([len(KNOTS), 4, *map(len, keys)])[:-1]
    distance, direction, *effects = np.split(found, ends)
    bounded = np.clip(distance, SMALLEST_CHANGE, LARGEST_CHANGE)
    origins, destinations, hours = (
        dict(zip(known, map(float, values), strict=True))
        for known, values in zip(keys, effects, strict=True)
    )
    return Correction(
        by_distance=tuple(map(float, np.array(prior.by_distance) + bounded)),
        by_direction=tuple(map(float, np.array(prior.by_direction) + direction)),
        by_origin=origins,
        by_destination=destinations,
        by_hour=hours,
    )


def _distance_ridge() -> FloatArray:
    """The penalty on the mean of the knots' coefficients and on differences of neighbours."""
    differences = np.diff(np.eye(len(KNOTS)), axis=0)
    mean = np.full((len(KNOTS), len(KNOTS)), LEVEL_RIDGE / len(KNOTS) ** 2)
    ridge: FloatArray = mean + SHAPE_RIDGE * differences.T @ differences
    return ridge


def _expect_and_maximize(
    design: FloatArray, target: FloatArray, room: FloatArray, weights: FloatArray, ridge: FloatArray
) -> FloatArray:
    """Coefficients; `room` is the logarithm of the longest ratio that could have ended by now."""
    found, spread = np.zeros(design.shape[1]), FIRST_SPREAD
    for _ in range(ITERATIONS):
        expected = design @ found
        reach = (room - expected) / spread
        ended = np.maximum(ndtr(reach), 1 / (1 + LARGEST_GHOST))
        ghosts = weights * (1 - ended) / ended
        # Mean of a standard normal variable beyond `reach` (inverse Mills ratio).
        tail = np.exp(-(reach**2) / 2 - log_ndtr(-reach)) / np.sqrt(2 * np.pi)
        errors = (target - expected) / spread
        pull = weights * np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-9))
        total = pull + ghosts
        mean = (pull * target + ghosts * (expected + spread * tail)) / total
        weighted = design * total[:, None]
        found = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ mean)
        squares = pull * errors**2 + ghosts * (1 + reach * tail)
        spread *= float(np.sqrt(squares.sum() / total.sum()))
    return found


def _judged(correction: Correction, legs: Sequence[Leg], now: float) -> tuple[float, float]:
    """The likelihood of these legs under the correction, and the spread that maximizes it."""
    expected = correction.logarithms(Drives.of(legs))
    errors, room = _log_ratios(legs) - expected, _log_room(legs, now) - expected
    likelihoods = [
        float(np.mean(-((errors / s) ** 2) / 2 - np.log(s) - log_ndtr(room / s))) for s in SPREADS
    ]
    best = int(np.argmax(likelihoods))
    return likelihoods[best], float(SPREADS[best])


def _one_step(previous: Correction, goal: Correction, spread: float) -> Correction:
    """The correction nearest to the goal that is one step away from `previous`."""

    def step(old: float, new: float, largest: float) -> float:
        return old + min(max(new - old, -largest), largest)

    def steps(old: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
        moved = {k: step(old.get(k, 0.0), new.get(k, 0.0), OTHER_STEP) for k in {*old, *new}}
        return {key: value for key, value in moved.items() if value}

    return Correction(
        by_distance=tuple(
            step(old, new, DISTANCE_STEP)
            for old, new in zip(previous.by_distance, goal.by_distance, strict=True)
        ),
        by_direction=tuple(
            step(old, new, OTHER_STEP)
            for old, new in zip(previous.by_direction, goal.by_direction, strict=True)
        ),
        by_origin=steps(previous.by_origin, goal.by_origin),
        by_destination=steps(previous.by_destination, goal.by_destination),
        by_hour=steps(previous.by_hour, goal.by_hour),
        spread=spread,
    )


def _log_ratios(legs: Sequence[Leg]) -> FloatArray:
    return np.log([leg.seconds / leg.estimated for leg in legs])


def _log_room(legs: Sequence[Leg], now: float) -> FloatArray:
    """The logarithm of the longest ratio with which each leg would have ended by now."""
    return np.log([max(now - leg.started, leg.seconds) / leg.estimated for leg in legs])


def _fair_weights(legs: Sequence[Leg]) -> FloatArray:
    """The weight of each leg: 1, or less if its unicorn drove more than its share."""
    counts = Counter(leg.unicorn_id for leg in legs)
    most = max(1.0, LARGEST_SHARE * len(legs))
    return np.array([min(1.0, most / counts[leg.unicorn_id]) for leg in legs])


def _frequent(keys: Sequence[str], at_least: int) -> list[str]:
    ranked = Counter(keys).most_common(CELLS_AT_MOST)
    return [key for key, count in ranked if count >= at_least]


def _told_apart(hours: list[str]) -> list[str]:
    """The hours, if there are enough of them to separate their effects from the overall level."""
    return hours if len(hours) >= HOURS_AT_LEAST else []


def _flags(column: Sequence[str], known: Sequence[str]) -> FloatArray:
    """A matrix with a column per known key, which is 1 in the rows with that key."""
    at = {key: number for number, key in enumerate(known)}
    flags = np.zeros((len(column), len(known)))
    for row, key in enumerate(column):
        if key in at:
            flags[row, at[key]] = 1.0
    return flags
