"""What the service learns and counts: drives, corrections, matches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from service.core.times import Corrections
from service.matching.correction import Correction, Kind, Leg
from service.matching.quotes import QuotedEta


class Legs(Protocol):
    """The latest drives of each zone; all of them may be lost."""

    def add(self, zone: str, kind: Kind, leg: Leg | None, quote: QuotedEta) -> None:
        """Add a drive (None: it was given up) and what the rider had been told of it."""

    def quotes(self, zone: str, kind: Kind) -> Sequence[QuotedEta]:
        """The latest quotes, newest first, some hundreds."""

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        """The latest legs, newest first, a few thousand at most."""

    def zones(self) -> Collection[str]:
        """The zones that have legs to learn from."""


class LearnedCorrections(Corrections, Protocol):
    """The stored corrections that zones have learned."""

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        """Store a correction, in place of the one before."""


class Matches(Protocol):
    """Counts matches for statistics; it may lose some."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Count a ride that was matched this many seconds after its request. One call."""


class Uncounted:
    """`Matches` that counts nothing."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Count nothing."""
