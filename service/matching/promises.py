"""What riders were told beside what it really took: whether arrival times come true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple, Self

NEAR: Final = 0.2
"""What was told and differs from the truth by this share of it at most was near."""


class Promise(NamedTuple):
    """What was told of one drive, and what it took, in seconds."""

    told: float
    latest: float
    """Nine of ten should take no longer."""
    took: float | None
    """None if the drive was given up after `latest`: it was late, nobody knows how much."""

    @property
    def ratio(self) -> float | None:
        """Told ÷ real."""
        return None if self.took is None else self.told / max(self.took, 1.0)

    @property
    def was_near(self) -> bool:
        return self.took is not None and abs(self.told - self.took) <= NEAR * self.took

    @property
    def was_in_time(self) -> bool:
        return self.took is not None and self.took <= self.latest


@dataclass(frozen=True, slots=True)
class Kept:
    """How the promises of a zone were kept; shares of 1, none without promises."""

    promises: int
    median_ratio: float | None
    near: float | None
    in_time: float | None

    @classmethod
    def of(cls, promises: Sequence[Promise]) -> Self:
        ratios = [each.ratio for each in promises if each.ratio is not None]
        return cls(
            promises=len(promises),
            median_ratio=median(ratios) if ratios else None,
            near=_share([each.was_near for each in promises]),
            in_time=_share([each.was_in_time for each in promises]),
        )


def _share(which: Sequence[bool]) -> float | None:
    return sum(which) / len(which) if which else None
