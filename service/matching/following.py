"""Judges how well unicorns follow their moves, and how much each is trusted to follow the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from service.matching.demand import Move
from service.matching.travel import TravelTimes, places
from service.model import FleetEntry

LEAST_PACE: Final = 0.2
"""The least speed of a unicorn that follows its advice, as a part of the estimated speed. It is
low, because goals are chosen by straight line and a drive in heavy traffic takes twice as long. A
unicorn that does not follow mostly stands still."""

TRUST_CHANGE: Final = 0.5
"""The part by which one observation changes a unicorn's trust."""

TRUST_REGAINED: Final = 0.01
"""The part of the lost trust that returns in each run: half of it in 35 minutes, so that the
unicorn is tried again later."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a unicorn towards its goal."""

    followed: bool
    """Whether the unicorn drove at least `LEAST_PACE` of the way that the estimate allows."""
    metres: float
    """Road metres by which it came nearer to its goal."""


def progress(
    given: Sequence[Move], fleet: Sequence[FleetEntry], elapsed: float, travel: TravelTimes
) -> Mapping[str, Progress]:
    """The progress of each unicorn that is still idle, `elapsed` seconds after its move."""
    at = {
        entry.unicorn.unicorn_id: entry.position.location
        for entry in fleet
        if entry.position and entry.unicorn.can_take_a_ride
    }
    judged = [move for move in given if move.unicorn_id in at]
    left, metres = travel.estimate(
        places(at[move.unicorn_id] for move in judged), places(move.target for move in judged)
    )
    return {
        move.unicorn_id: Progress(
            followed=move.seconds - seconds >= LEAST_PACE * min(elapsed, move.seconds),
            metres=max(0.0, move.metres - metres_left),
        )
        for move, seconds, metres_left in zip(judged, left.tolist(), metres.tolist(), strict=True)
    }


def trust_after(trust: Mapping[str, float], seen: Mapping[str, Progress]) -> Mapping[str, float]:
    """The new trust in each unicorn, from 0 to 1; fully trusted ones are left out."""
    after = {unicorn_id: each + TRUST_REGAINED * (1 - each) for unicorn_id, each in trust.items()}
    for unicorn_id, found in seen.items():
        before = trust.get(unicorn_id, 1.0)
        after[unicorn_id] = before + TRUST_CHANGE * (found.followed - before)
    return {unicorn_id: each for unicorn_id, each in after.items() if each < 0.99}
