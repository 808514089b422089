"""What the service learns: travel times from drives, and where idle unicorns should wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from service.core.travel_times import Corrections
from service.matching.correction import Correction, Kind, Leg
from service.matching.demand import Move
from service.matching.quotes import QuotedEta
from service.model import Advice


class Legs(Protocol):
    """The latest drives of each zone; all of them may be lost."""

    def add(self, zone: str, kind: Kind, leg: Leg | None, quote: QuotedEta) -> None:
        """Add a drive (None if it was given up) and the ETA that its rider had been told."""

    def quotes(self, zone: str, kind: Kind) -> Sequence[QuotedEta]:
        """The latest quotes, newest first, a few hundred at most."""

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        """The latest legs, newest first, a few thousand at most."""

    def zones(self) -> Collection[str]:
        """The zones that have had legs to learn from."""


class LearnedCorrections(Corrections, Protocol):
    """The stored corrections that zones have learned."""

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        """Store a correction, in place of the one before."""


class Matches(Protocol):
    """Counts matches for statistics; it may lose some."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Count a ride that was matched this many seconds after its request. One call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentRequest:
    """A request for a ride: its small cell and instant, without the rider."""

    cell: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The results of a zone's last run of repositioning."""

    at: datetime
    moves: Sequence[Move] = ()
    goal_by_unicorn: Mapping[str, str] = field(default_factory=dict)
    """The goal (an H3 cell) to which each unicorn was sent, by unicorn id."""
    trust: Mapping[str, float] = field(default_factory=dict)
    """The chance (0 to 1) that a unicorn follows advice, by unicorn id."""
    followers: frozenset[str] = frozenset()
    """Unicorns that have followed their advice since their last ride."""
    predicted_at: datetime | None = None
    predicted: Mapping[str, float] = field(default_factory=dict)
    """The number of riders expected in the `Repositioning.horizon_seconds` after `predicted_at`, by
    goal."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The demand and state at the beginning of a run."""

    requests: Sequence[RecentRequest]
    """Requests of the last 15 to 30 minutes; each rider once per quarter of an hour."""
    planned: frozenset[str]
    """Busy unicorns that are planned for a waiting ride."""
    last: LastRun | None
    since: datetime | None
    """When Redis began to record; None if it is new."""


class MoveMemory(Protocol):
    """Stores recent demand and the advice to idle unicorns. All of it may be lost."""

    def zones(self, now: datetime) -> Sequence[str]:
        """The zones with recent requests for rides, sorted."""

    def outlook(self, zone: str, now: datetime) -> Outlook:
        """The outlook of a zone: one call."""

    def advise(self, zone: str, run: LastRun, advice: Sequence[Advice]) -> None:
        """Store the run and its advice, in place of all earlier advice in the zone."""

    def advised(self, zones: Collection[str], now: datetime) -> Sequence[Advice]:
        """The valid advice in these zones, sorted by unicorn id."""
