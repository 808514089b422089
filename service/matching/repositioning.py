"""Where idle unicorns should wait: near the riders who are likely to ask next.

Pure: the same fleet, demand and instant give the same moves, in whatever order they come.

Riders of the last minutes say where the next ones will be; unicorns that will be free soon serve
some of them. What remains in a cell is worth a unicorn nearby, the second one less than the first
(a slot each). Idle unicorns are assigned to slots: one that is near enough covers its slot standing
still, another drives there if the slot is worth its drive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

import h3
import numpy as np
from scipy.spatial import cKDTree
from scipy.special import pdtrc

from service.matching.assignment import Edges, cheapest
from service.matching.candidates import Candidates, gather
from service.matching.costs import Neighbourhood
from service.matching.demand import GOAL_RESOLUTION, Demand, Move, Moves
from service.matching.remaining import RemainingTime
from service.matching.travel import (
    BoolArray,
    FloatArray,
    IntArray,
    TravelTimes,
    chord,
    on_sphere,
)
from service.matching.tuning import Repositioning
from service.model import FleetEntry, Location

BLOCK_RESOLUTION: Final = 6
"""H3 cells whose goals choose together where there are very many: 7 km across."""

MOST_SLOTS: Final = 12
"""Unicorns that one goal can want."""

MOST_PAIRS: Final = 30_000
"""Of unicorns and slots that are solved at once: the time grows faster than they do."""

GOALS_COMPARED: Final = 24
"""Nearest goals that a unicorn is compared with."""


def reposition(
    fleet: Sequence[FleetEntry],
    demand: Demand,
    now: datetime,
    knobs: Repositioning,
    travel: TravelTimes,
    remaining: RemainingTime,
    trips: TravelTimes | None = None,
    *,
    planned: Collection[str] = (),
    heading: Mapping[str, str] | None = None,
    trust: Mapping[str, float] | None = None,
) -> Moves:
    """Say which idle unicorns should wait elsewhere; the others stay where they are.

    `planned`: busy unicorns that have their next ride already. `heading`: that of the last step,
    so that nobody is sent back and forth. `trust`: how far a unicorn is expected to follow, 0 to 1;
    unknown ones are trusted.
    """
    heading, trust = heading or {}, trust or {}
    if sum(demand.by_cell.values()) < knobs.least_riders:
        return Moves()
    goals = _Goals.of(demand, knobs)
    helpful = [entry for entry in fleet if entry.unicorn.unicorn_id not in planned]
    candidates = gather(helpful, now, knobs.horizon_seconds, travel, remaining, trips or travel)
    expected = dict(zip(goals.cells, goals.expected.tolist(), strict=True))
    if not candidates.available:
        return Moves(expected=expected)
    values = goals.slot_values(candidates, knobs)
    pairs = _Pairs.of(goals, candidates, knobs, travel)
    names = candidates.unicorn_ids[: candidates.available]
    worths = np.array([trust.get(name, 1.0) for name in names], dtype=np.float64)
    kept = pairs.are_kept(goals, names, heading)
    bonus: FloatArray = np.where(kept, knobs.hysteresis_seconds, 0.0)
    chosen = _most_worth(pairs.slots(values, worths, bonus, knobs), goals)
    sent, stands = _sent(chosen, goals, names, knobs.stay_seconds)
    kept_to = {name: cell for name, cell in stands.items() if heading.get(name) == cell}
    return Moves(tuple(sent), kept_to | {move.unicorn_id: move.cell for move in sent}, expected)


def _sent(
    chosen: Edges, goals: _Goals, names: Sequence[str], stay_seconds: float
) -> tuple[Sequence[Move], Mapping[str, str]]:
    """Who is sent somewhere, and the goals of those who cover one from where they stand."""
    is_sent = chosen.etas > stay_seconds
    stands = chosen.only(~is_sent)
    return _named(chosen.only(is_sent), goals, names), {
        names[unicorn]: goals.cells[goal]
        for unicorn, goal in zip(stands.riders.tolist(), stands.unicorns.tolist(), strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Goals:
    """Cells in which riders asked for rides, in columns."""

    cells: tuple[str, ...]
    places: FloatArray
    """Where to wait: the most central of the small cells in which riders asked."""
    expected: FloatArray
    """Riders within the horizon."""

    @property
    def blocks(self) -> IntArray:
        """The block that each goal is in, as a number."""
        parents = [_parent(cell, BLOCK_RESOLUTION) for cell in self.cells]
        return np.unique(parents, return_inverse=True)[1]

    @classmethod
    def of(cls, demand: Demand, knobs: Repositioning) -> _Goals:
        small = sorted(demand.by_cell)
        riders = np.array([demand.by_cell[cell] for cell in small], dtype=np.float64)
        spots = np.array([_center(cell) for cell in small])
        parents = [_parent(cell, GOAL_RESOLUTION) for cell in small]
        cells, goal_of = np.unique(parents, return_inverse=True)
        central = _most_central(spots, riders, goal_of)
        smooth = _spread(spots, riders, spots[central], knobs.smooth_metres)
        rate = demand.lately / knobs.rate_seconds
        expected = rate * knobs.horizon_seconds * smooth / riders.sum()
        return cls(tuple(cells.tolist()), spots[central], expected)

    def slot_values(self, candidates: Candidates, knobs: Repositioning) -> FloatArray:
        """Seconds that the first, second … unicorn at each goal is worth; a row for each goal."""
        soon = slice(candidates.available, None)
        shares = 1 - candidates.ready_in[soon] / knobs.horizon_seconds
        arriving = _spread(candidates.places[soon], shares, self.places, knobs.smooth_metres)
        unserved = np.maximum(0.0, self.expected - arriving)
        chances = pdtrc(np.arange(MOST_SLOTS), unserved[:, None])
        values: FloatArray = knobs.worth_seconds * np.where(
            chances > knobs.least_chance, chances, 0.0
        )
        return values


# Most cells of a step were in the last one: h3 takes longer than everything else about them.
_center = lru_cache(maxsize=1 << 16)(h3.cell_to_latlng)
_parent = lru_cache(maxsize=1 << 16)(h3.cell_to_parent)


def _most_central(spots: FloatArray, riders: FloatArray, goal_of: IntArray) -> IntArray:
    """Of each goal the row of the spot nearest to the mean of its riders."""
    points = on_sphere(spots)
    means = np.zeros((int(goal_of.max()) + 1, 3))
    np.add.at(means, goal_of, points * riders[:, None])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    nearness = (points * means[goal_of]).sum(axis=1)
    order = np.lexsort((-nearness, goal_of))
    _, first = np.unique(goal_of[order], return_index=True)
    central: IntArray = order[first]
    return central


def _spread(
    origins: FloatArray, weights: FloatArray, places: FloatArray, smooth_metres: float
) -> FloatArray:
    """Each origin's weight, shared out among the places around it; the nearer, the more (Gauss)."""
    if not len(origins):
        return np.zeros(len(places))
    near = cKDTree(on_sphere(origins)).sparse_distance_matrix(
        cKDTree(on_sphere(places)), chord(3 * smooth_metres), output_type="ndarray"
    )
    shares = np.exp(-0.5 * (near["v"] / chord(smooth_metres)) ** 2)
    of_origin = np.bincount(near["i"], shares, minlength=len(origins))
    shares *= (weights / np.maximum(of_origin, 1e-12))[near["i"]]
    spread: FloatArray = np.bincount(near["j"], shares, minlength=len(places)).astype(np.float64)
    return spread


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Idle unicorns and the goals within their longest drive, a pair in each row."""

    unicorns: IntArray
    goals: IntArray
    seconds: FloatArray
    metres: FloatArray

    @classmethod
    def of(
        cls, goals: _Goals, candidates: Candidates, knobs: Repositioning, travel: TravelTimes
    ) -> _Pairs:
        origins = candidates.places[: candidates.available]
        reach = travel.reach_metres(knobs.longest_drive_seconds)
        near = Neighbourhood(goals.places, reach)
        unicorns, rows, _ = near.nearest(origins, GOALS_COMPARED)
        seconds, metres = travel.estimate(origins[unicorns], goals.places[rows])
        return cls(unicorns, rows, seconds, metres)

    def are_kept(
        self, goals: _Goals, names: Sequence[str], heading: Mapping[str, str]
    ) -> BoolArray:
        """Of each pair whether the unicorn was sent to this goal before."""
        rows = {cell: row for row, cell in enumerate(goals.cells)}
        goal_of = np.array([rows.get(heading.get(name, ""), -1) for name in names])
        kept: BoolArray = goal_of[self.unicorns] == self.goals
        return kept

    def slots(
        self, values: FloatArray, trust: FloatArray, bonus: FloatArray, knobs: Repositioning
    ) -> Edges:
        """Each pair with each slot of its goal that is worth the drive; columns are slots."""
        drives = np.maximum(0.0, self.seconds - knobs.stay_seconds)
        worth = np.where(drives > 0, trust[self.unicorns], 1.0)
        gains = worth[:, None] * values[self.goals] - knobs.drive_weight * drives[:, None]
        pair, slot = np.nonzero((gains > 0) & (values[self.goals] > 0))
        return Edges(
            riders=self.unicorns[pair],
            unicorns=self.goals[pair] * MOST_SLOTS + slot,
            etas=self.seconds[pair],
            metres=self.metres[pair],
            costs=-(gains[pair, slot] + bonus[pair]),
        )


def _most_worth(slots: Edges, goals: _Goals) -> Edges:
    """The pairs that are worth most in all, each unicorn and each slot once; columns are goals.

    Where there are very many, one block of goals after the other chooses of the unicorns left.
    """
    block_of = np.zeros(len(slots), dtype=np.intp)
    if len(slots) > MOST_PAIRS:
        block_of = goals.blocks[slots.unicorns // MOST_SLOTS]
    is_left = np.ones(int(slots.riders.max(initial=0)) + 1, dtype=np.bool_)
    chosen = slots.only(np.empty(0, dtype=np.intp))
    for block in np.unique(block_of):
        here = slots.only((block_of == block) & is_left[slots.riders])
        if not len(here):
            continue
        # Numbered anew, since the solver makes a column for each number up to the highest.
        unicorns, rows = np.unique(here.riders, return_inverse=True)
        wanted, columns = np.unique(here.unicorns, return_inverse=True)
        here = replace(here, riders=rows, unicorns=columns)
        found = cheapest(here, np.zeros(len(unicorns)))
        found = replace(found, riders=unicorns[found.riders], unicorns=wanted[found.unicorns])
        is_left[found.riders] = False
        chosen = chosen.joined(found)
    return replace(chosen, unicorns=chosen.unicorns // MOST_SLOTS)


def _named(chosen: Edges, goals: _Goals, names: Sequence[str]) -> list[Move]:
    return [
        Move(names[unicorn], goals.cells[goal], Location(*place), seconds, metres)
        for unicorn, goal, place, seconds, metres in zip(
            chosen.riders.tolist(),
            chosen.unicorns.tolist(),
            goals.places[chosen.unicorns].tolist(),
            chosen.etas.tolist(),
            chosen.metres.tolist(),
            strict=True,
        )
    ]
