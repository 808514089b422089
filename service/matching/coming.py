"""Whether a unicorn is coming to its rider, and whether another one is worth a change.

All times are seconds that are left of a drive, by the model that riders are told by.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

SLACK_SECONDS: Final = 180.0
"""A drive may take so much longer than was told, however short it is: traffic and detours do."""

PLACES: Final = 3
"""Farther at so many places one after the other is no detour."""

BETTER_SECONDS: Final = 120.0
"""A change costs the rider's trust and a unicorn's way: it has to save so much."""

TAKEN_BACK_SHARE: Final = 0.05
"""So large a part of the rides with a unicorn is taken back in a minute at most: beyond that the
model, a map or the phones are wrong rather than the unicorns."""


def is_not_coming(
    told: float, left: float, left_on_the_way: Sequence[float], *, known: bool = False
) -> bool:
    """Whether far more is left than was told, and the unicorn drove away from the pickup.

    `left`: from where it is now. `left_on_the_way`: from its last places, oldest first. `known`:
    it did not come when it was last judged; then it comes again only once less is left.
    """
    last = left_on_the_way[-PLACES:]
    drove_away = len(last) == PLACES and all(before < after for before, after in pairwise(last))
    return left - told > max(told, SLACK_SECONDS) and (known or drove_away)


def is_better(other: float, left: float) -> bool:
    """Whether a unicorn with `other` seconds to drive is worth taking the ride from its own.

    `left` is infinite if nobody knows where its own unicorn is.
    """
    return other <= left - BETTER_SECONDS


def most_taken_back(assigned: int) -> int:
    """Rides that may be taken back in a minute while so many have a unicorn; always one."""
    return max(1, int(TAKEN_BACK_SHARE * assigned))
