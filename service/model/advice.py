"""Where idle unicorns should wait, as their drivers are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.model.places import Location


class RepositioningLevel(StrEnum):
    """How strongly idle unicorns are sent to where riders will be."""

    OFF = "off"
    LEAN = "lean"
    """Few kilometres."""
    STRONG = "strong"
    """Shorter waits for more kilometres."""


class AdviceReason(StrEnum):
    """Why a unicorn should wait elsewhere."""

    RIDERS_EXPECTED = "riders_expected"


@dataclass(frozen=True, slots=True)
class Advice:
    """Where an idle unicorn should wait. It need not follow."""

    unicorn_id: str
    cell: str
    """The goal, an H3 cell. Advice with the same goal as before is no news."""
    location: Location
    given_at: datetime
    expires_at: datetime
    reason: AdviceReason = AdviceReason.RIDERS_EXPECTED

    def holds(self, now: datetime) -> bool:
        """Whether it is valid. False before `given_at` too: then a clock was set back."""
        return self.given_at <= now < self.expires_at
