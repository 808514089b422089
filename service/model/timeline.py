"""The timeline of a ride: its steps as a bounded text on the ride's own row.

The text needs no extra write: each transition adds a line to the ride, which it writes anyway.
Lines are short, because DynamoDB bills a write by the kilobyte. Only staff's routes parse them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.model.status import RideStep

MOST_STEPS: Final = 32
"""Steps kept of one ride, with its request; the oldest after the request are dropped first."""

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Happened:
    """One step. `version`: of the ride after it. `unicorn_id`: who got or lost the ride."""

    version: int
    at: datetime
    step: RideStep
    unicorn_id: str | None = None


def with_step(timeline: str | None, requested_at: datetime, happened: Happened) -> str:
    """The text with one more line; drops the first line if there are too many."""
    after = (happened.at - requested_at) // _MILLISECOND
    words = [str(happened.version), str(after), happened.step, happened.unicorn_id or ""]
    lines = [*(timeline or "").splitlines(), " ".join(words).rstrip()]
    return "\n".join(lines[-(MOST_STEPS - 1) :])


def steps_of(timeline: str | None, requested_at: datetime) -> Sequence[Happened]:
    """The request and the steps of this text, oldest first."""
    first = Happened(1, requested_at, RideStep.REQUESTED)
    return [first, *(_step(line, requested_at) for line in (timeline or "").splitlines())]


def _step(line: str, requested_at: datetime) -> Happened:
    version, after, step, unicorn_id = f"{line} ".split(" ")[:4]
    at = requested_at + int(after) * _MILLISECOND
    return Happened(int(version), at, RideStep(step), unicorn_id or None)
