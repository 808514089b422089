"""The remaining time of a trip, given the time that it has taken.

The estimate minus the elapsed time is wrong: the trips that are still under way when the estimate
is used up are the slow ones. So the remaining time is the median remaining time of past trips that
were still under way after the same time, relative to the usual time of a trip with this estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from service.matching.travel import FloatArray

Table = tuple[tuple[float, ...], tuple[float, ...]]
"""Arguments and values of a function that is linear between them and constant beyond."""


@dataclass(frozen=True, slots=True)
class RemainingTime:
    """Two small tables, learned from completed trips.

    `usual`: estimated seconds → median of real ÷ estimated time (short trips are underestimated).
    `left`: elapsed ÷ usual time → median of the time then left ÷ usual time.
    """

    usual: Table
    left: Table

    @classmethod
    def default(cls) -> Self:
        """Learned on New York taxi trips (`python -m tests.load.bench.remaining`)."""
        return cls(
            usual=(
                (60.0, 120.0, 240.0, 360.0, 480.0, 720.0, 960.0, 1200.0, 1800.0),
                (4.6, 1.75, 1.47, 1.29, 1.21, 1.0, 0.88, 0.8, 0.66),
            ),
            left=(
                (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5),
                (0.98, 0.73, 0.5, 0.33, 0.26, 0.26, 0.44, 0.8, 0.57),
            ),
        )

    @classmethod
    def of_learned(cls) -> Self:
        """The model for learned estimates: such an estimate is already the usual time.

        But no trip is expected to be shorter than the shortest usual time of the default tables.
        Trips between near places are often round trips: those of New York that end where they began
        take six minutes in the median, and their estimate is 0 s.
        """
        default = cls.default()
        shortest = min(seconds * ratio for seconds, ratio in zip(*default.usual, strict=True))
        return cls(usual=((shortest,), (1.0,)), left=default.left)

    def seconds(self, estimated: FloatArray, elapsed: FloatArray) -> FloatArray:
        """The seconds until trips end, by their estimates and elapsed times in seconds."""
        in_range = np.maximum(estimated, max(1.0, self.usual[0][0]))
        usual = in_range * np.interp(in_range, *self.usual)
        left: FloatArray = usual * np.interp(elapsed / usual, *self.left)
        return left
