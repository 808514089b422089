"""Possible pairs of a round, in columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from service.matching.travel import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Edges:
    """One pair per row; no pair comes twice."""

    riders: IntArray
    """Row of the rider among the waiting rides."""
    unicorns: IntArray
    """Row of the unicorn among the candidates."""
    etas: FloatArray
    """Pickup ETA, seconds, the time until the unicorn is free included."""
    metres: FloatArray
    """Length of the drive to the pickup."""
    costs: FloatArray
    """What the pair costs in this round, seconds."""

    def __len__(self) -> int:
        return len(self.costs)

    def only(self, rows: BoolArray | IntArray) -> Self:
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def joined(self, *others: Self) -> Self:
        return type(self)(
            *(
                np.concatenate([getattr(part, column.name) for part in (self, *others)])
                for column in fields(self)
            )
        )
