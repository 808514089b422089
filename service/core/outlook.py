"""What repositioning remembers from step to step: recent demand, and what unicorns were told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from service.matching.repositioning import Move
from service.model import Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A rider asked for a ride, in a small cell at an instant. No rider is named."""

    cell: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastStep:
    """What a zone's last step of repositioning left behind."""

    at: datetime
    moves: Sequence[Move] = ()
    heading: Mapping[str, str] = field(default_factory=dict)
    trust: Mapping[str, float] = field(default_factory=dict)
    followers: frozenset[str] = frozenset()
    """Unicorns that have followed since their last ride."""
    predicted_at: datetime | None = None
    predicted: Mapping[str, float] = field(default_factory=dict)
    """Riders that were expected in the `rate_seconds` after `predicted_at`, by goal."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a step of repositioning begins with."""

    asked: Sequence[Asked]
    """In the last quarter of an hour and some minutes before; each rider once."""
    planned: frozenset[str]
    """Busy unicorns that are planned for a waiting ride."""
    last: LastStep | None
    since: datetime | None
    """When Redis began to remember; none: it is new."""


class MoveMemory(Protocol):
    """Recent demand, and where idle unicorns were told to wait. All of it may be lost."""

    def zones(self, now: datetime) -> Sequence[str]:
        """Those where riders asked for rides lately, in order."""

    def outlook(self, zone: str, now: datetime) -> Outlook:
        """One call."""

    def advise(self, zone: str, step: LastStep, advice: Sequence[Advice]) -> None:
        """Keep the step, and tell each of these unicorns; the zone's others are told nothing
        any more."""

    def advised(self, zones: Collection[str], now: datetime) -> Sequence[Advice]:
        """What holds in these zones, in the order of the unicorns' ids."""
