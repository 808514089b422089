"""The values of `repositioning`: the demand for rides, and the moves of idle unicorns.

This module is separate from `repositioning`, so that the API does not load scipy: the API only
stores and shows moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from service.model import Location

PICKUP_RESOLUTION: Final = 10
"""H3 resolution of the cells in which riders are counted. A cell is 130 m across, so it holds more
than one address."""

GOAL_RESOLUTION: Final = 8
"""H3 resolution of the cells that unicorns are sent to. A cell is 0.9 km across."""


@dataclass(frozen=True, slots=True)
class Demand:
    """How many riders asked for a ride lately."""

    by_cell: Mapping[str, int] = field(default_factory=dict)
    """Riders of the last `Repositioning.remembered_seconds`, by the small cell of the pickup."""
    lately: int = 0
    """Riders of the last `Repositioning.rate_seconds`, in all cells."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where an idle unicorn should wait, with the time and the distance of its drive."""

    unicorn_id: str
    cell: str
    """The goal, an H3 cell."""
    target: Location
    seconds: float
    metres: float


@dataclass(frozen=True, slots=True)
class Moves:
    """The decision of one run."""

    moves: tuple[Move, ...] = ()
    goal_by_unicorn: Mapping[str, str] = field(default_factory=dict)
    """The goal by unicorn id, for unicorns that are sent there or have arrived there."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """The number of riders that are expected within the horizon, by goal."""
