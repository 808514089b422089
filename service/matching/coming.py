"""Judges whether a unicorn is coming to its rider, and whether another one is worth a change.

All times are remaining seconds of a drive, by the model from which riders get their ETAs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

SLACK_SECONDS: Final = 180.0
"""A drive may take this much longer than told, however short it is, for traffic and detours."""

PLACES: Final = 3
"""A unicorn that is farther away at this many places in a row is not on a detour."""

BETTER_SECONDS: Final = 120.0
"""A change must save at least this much, because it costs the rider's trust and a unicorn's way."""

TAKEN_BACK_SHARE: Final = 0.05
"""The largest share of the rides with a unicorn that are taken back in one minute. Beyond it the
model, a map or the phones are probably wrong, and not the unicorns."""


def is_not_coming(
    told: float, left: float, left_on_the_way: Sequence[float], *, was_not_coming: bool = False
) -> bool:
    """Whether far more time is left than the rider was told, and the unicorn drove away.

    `left`: the time from its present place. `left_on_the_way`: the times from its last places,
    oldest first. `was_not_coming`: it was judged as not coming before. Then it stays so until its
    remaining time is within the limit.
    """
    last = left_on_the_way[-PLACES:]
    drove_away = len(last) == PLACES and all(before < after for before, after in pairwise(last))
    return left - told > max(told, SLACK_SECONDS) and (was_not_coming or drove_away)


def is_better(other: float, left: float) -> bool:
    """Whether a unicorn with `other` seconds to drive is enough better than the present one.

    `left`: the remaining seconds of the present one; infinite if its position is unknown.
    """
    return other <= left - BETTER_SECONDS


def most_taken_back(assigned: int) -> int:
    """The rides that may be taken back in a minute if `assigned` have a unicorn; at least one."""
    return max(1, int(TAKEN_BACK_SHARE * assigned))
