"""Where idle unicorns should wait: near the riders who are likely to ask next.

Pure: the same fleet, demand and instant give the same moves, in any order of the fleet.

The riders of the last minutes predict where the next riders will be. Unicorns that will be free
soon serve some of them. Each cell with riders left has slots for unicorns that wait nearby; its
second slot is worth less than its first. Idle unicorns are assigned to slots. A unicorn that is
near enough covers its slot where it stands; another unicorn drives there if the slot is worth more
than the drive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from service.matching.assignment import CandidatePairs, cheapest
from service.matching.candidates import Candidates, gather
from service.matching.costs import Neighbourhood
from service.matching.demand import Demand, Move, Moves
from service.matching.goals import MOST_SLOTS, Goals
from service.matching.remaining import RemainingTime
from service.matching.travel import BoolArray, FloatArray, IntArray, TravelTimes
from service.matching.tuning import Repositioning
from service.model import FleetEntry, Location

MOST_PAIRS: Final = 10_000
"""The most pairs of unicorn and slot that are solved at once, because the time to solve grows
faster than their number."""

COMPARED_PER_SLOT: Final = 3
"""For each unicorn that a goal wants, this many idle unicorns are compared: the nearest ones."""


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
    goal_by_unicorn: Mapping[str, str] | None = None,
    trust: Mapping[str, float] | None = None,
) -> Moves:
    """Decide which idle unicorns should wait elsewhere; the others stay where they are.

    `planned`: busy unicorns that already have their next ride. `goal_by_unicorn`: that of the last
    run's `Moves`, so that no unicorn is sent back and forth. `trust`: the trust of each unicorn, 0
    to 1; a unicorn without one has trust 1.
    """
    goal_by_unicorn, trust = goal_by_unicorn or {}, trust or {}
    if sum(demand.by_cell.values()) < knobs.least_riders:
        return Moves()
    goals = Goals.of(demand, knobs)
    helpful = [entry for entry in fleet if entry.unicorn.unicorn_id not in planned]
    candidates = gather(helpful, now, knobs.horizon_seconds, travel, remaining, trips or travel)
    expected = dict(zip(goals.cells, goals.expected.tolist(), strict=True))
    if not candidates.available:
        return Moves(expected=expected)
    values = goals.slot_values(candidates, knobs)
    wanted = np.count_nonzero(values, axis=1)
    pairs = _Pairs.of(goals, wanted, candidates, knobs, travel)
    unicorn_ids = candidates.unicorn_ids[: candidates.available]
    trusts = np.array([trust.get(unicorn_id, 1.0) for unicorn_id in unicorn_ids], dtype=np.float64)
    kept = pairs.are_kept(goals, unicorn_ids, goal_by_unicorn)
    bonus: FloatArray = np.where(kept, knobs.hysteresis_seconds, 0.0)
    chosen = _most_worth(pairs.slots(values, trusts, bonus, knobs), goals)
    sent, stands = _sent(chosen, goals, unicorn_ids, knobs.stay_seconds)
    kept_to = {
        unicorn_id: cell
        for unicorn_id, cell in stands.items()
        if goal_by_unicorn.get(unicorn_id) == cell
    }
    return Moves(tuple(sent), kept_to | {move.unicorn_id: move.cell for move in sent}, expected)


def _sent(
    chosen: _Pairs, goals: Goals, unicorn_ids: Sequence[str], stay_seconds: float
) -> tuple[Sequence[Move], Mapping[str, str]]:
    """The moves, and the goals of the unicorns that cover one from where they stand."""
    is_sent = chosen.seconds > stay_seconds
    stands = chosen.only(~is_sent)
    return _named(chosen.only(is_sent), goals, unicorn_ids), {
        unicorn_ids[unicorn]: goals.cells[goal]
        for unicorn, goal in zip(stands.unicorns.tolist(), stands.goals.tolist(), strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Idle unicorns and the goals within their longest drive, a pair in each row."""

    unicorns: IntArray
    goals: IntArray
    seconds: FloatArray
    metres: FloatArray

    @classmethod
    def of(
        cls,
        goals: Goals,
        wanted: IntArray,
        candidates: Candidates,
        knobs: Repositioning,
        travel: TravelTimes,
    ) -> _Pairs:
        """`wanted`: how many unicorns each goal wants."""
        origins = candidates.places[: candidates.available]
        reach = travel.reach_metres(knobs.longest_drive_seconds)
        near = Neighbourhood(origins, reach)
        rows, unicorns, _ = near.nearest(goals.places, COMPARED_PER_SLOT * int(wanted.max()))
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        is_compared = rank < COMPARED_PER_SLOT * wanted[rows]
        rows, unicorns = rows[is_compared], unicorns[is_compared]
        seconds, metres = travel.estimate(origins[unicorns], goals.places[rows])
        return cls(unicorns, rows, seconds, metres)

    def only(self, rows: BoolArray) -> _Pairs:
        """The pairs of these rows."""
        return _Pairs(self.unicorns[rows], self.goals[rows], self.seconds[rows], self.metres[rows])

    def are_kept(
        self, goals: Goals, unicorn_ids: Sequence[str], goal_by_unicorn: Mapping[str, str]
    ) -> BoolArray:
        """For each pair, whether the last run sent the unicorn to this goal."""
        rows = {cell: row for row, cell in enumerate(goals.cells)}
        goal_of = np.array(
            [rows.get(goal_by_unicorn.get(unicorn_id, ""), -1) for unicorn_id in unicorn_ids]
        )
        kept: BoolArray = goal_of[self.unicorns] == self.goals
        return kept

    def slots(
        self, values: FloatArray, trusts: FloatArray, bonus: FloatArray, knobs: Repositioning
    ) -> CandidatePairs:
        """Combine each pair with its goal's slots that are worth the drive.

        In these pairs, a unicorn takes the place of a rider, and a slot that of a unicorn.
        """
        drives = np.maximum(0.0, self.seconds - knobs.stay_seconds)
        worth = np.where(drives > 0, trusts[self.unicorns], 1.0)
        gains = worth[:, None] * values[self.goals] - knobs.drive_weight * drives[:, None]
        pair, slot = np.nonzero((gains > 0) & (values[self.goals] > 0))
        return CandidatePairs(
            riders=self.unicorns[pair],
            unicorns=self.goals[pair] * MOST_SLOTS + slot,
            etas=self.seconds[pair],
            metres=self.metres[pair],
            costs=-(gains[pair, slot] + bonus[pair]),
        )


def _most_worth(slots: CandidatePairs, goals: Goals) -> _Pairs:
    """The pairs with the greatest total worth, each unicorn and each slot once.

    `slots`: as `_Pairs.slots` returns them. If there are more than `MOST_PAIRS`, one block of goals
    after the other is solved, each with the unicorns that are left.
    """
    block_of = np.zeros(len(slots), dtype=np.intp)
    if len(slots) > MOST_PAIRS:
        block_of = goals.blocks[slots.unicorns // MOST_SLOTS]
    by_block = np.argsort(block_of, kind="stable")
    is_left = np.ones(int(slots.riders.max(initial=0)) + 1, dtype=np.bool_)
    chosen = slots.only(np.empty(0, dtype=np.intp))
    for rows in np.split(by_block, np.flatnonzero(np.diff(block_of[by_block])) + 1):
        here = slots.only(rows[is_left[slots.riders[rows]]])
        if not len(here):
            continue
        # Numbered anew, since the solver makes a column for each number up to the highest.
        unicorns, riders = np.unique(here.riders, return_inverse=True)
        wanted, columns = np.unique(here.unicorns, return_inverse=True)
        here = replace(here, riders=riders, unicorns=columns)
        found = cheapest(here, np.zeros(len(unicorns)))
        found = replace(found, riders=unicorns[found.riders], unicorns=wanted[found.unicorns])
        is_left[found.riders] = False
        chosen = chosen.joined(found)
    return _Pairs(chosen.riders, chosen.unicorns // MOST_SLOTS, chosen.etas, chosen.metres)


def _named(chosen: _Pairs, goals: Goals, unicorn_ids: Sequence[str]) -> list[Move]:
    return [
        Move(unicorn_ids[unicorn], goals.cells[goal], Location(*place), seconds, metres)
        for unicorn, goal, place, seconds, metres in zip(
            chosen.unicorns.tolist(),
            chosen.goals.tolist(),
            goals.places[chosen.goals].tolist(),
            chosen.seconds.tolist(),
            chosen.metres.tolist(),
            strict=True,
        )
    ]
