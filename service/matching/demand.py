"""The demand for rides, and the moves that it leads to (`repositioning`), as plain values.

Apart from `repositioning`, so that the API, which only stores and shows them, loads no scipy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from service.model import Location

PICKUP_RESOLUTION: Final = 10
"""H3 cells in which riders are counted: 130 m across, so that no cell is one address."""

GOAL_RESOLUTION: Final = 8
"""H3 cells that unicorns are sent to: 0.9 km across."""


@dataclass(frozen=True, slots=True)
class Demand:
    """How many riders asked for a ride lately."""

    by_cell: Mapping[str, int] = field(default_factory=dict)
    """In the last `Repositioning.remembered_seconds`, by the small cell of the pickup."""
    lately: int = 0
    """In the last `Repositioning.rate_seconds`, everywhere."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where an idle unicorn should wait, and what the drive takes."""

    unicorn_id: str
    cell: str
    """The goal, an H3 cell."""
    target: Location
    seconds: float
    metres: float


@dataclass(frozen=True, slots=True)
class Moves:
    """One step's decision."""

    moves: tuple[Move, ...] = ()
    heading: Mapping[str, str] = field(default_factory=dict)
    """The goal of each unicorn that is sent somewhere, or stands where it was sent before."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Riders that are expected within the horizon, by goal."""
