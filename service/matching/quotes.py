"""Compares the times that riders were told with the times that drives really took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple, Self

NEAR: Final = 0.2
"""The largest relative difference between told and real time that counts as near."""


class QuotedEta(NamedTuple):
    """The time told for one drive and the time it took, in seconds."""

    told: float
    latest: float
    """The time within which nine of ten drives should end."""
    took: float | None
    """None if the drive was given up after `latest`: it was late by an unknown time."""

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
class QuoteAccuracy:
    """How accurate the ETAs of a zone were; shares from 0 to 1, None without any ETA."""

    quotes: int
    median_ratio: float | None
    near: float | None
    in_time: float | None

    @classmethod
    def of(cls, quotes: Sequence[QuotedEta]) -> Self:
        ratios = [each.ratio for each in quotes if each.ratio is not None]
        return cls(
            quotes=len(quotes),
            median_ratio=median(ratios) if ratios else None,
            near=_share([each.was_near for each in quotes]),
            in_time=_share([each.was_in_time for each in quotes]),
        )


def _share(which: Sequence[bool]) -> float | None:
    return sum(which) / len(which) if which else None
