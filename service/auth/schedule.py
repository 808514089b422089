"""Decides when the key set is fetched: plain arithmetic on a monotonic clock (seconds)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.memory import BoundedMemory

Jitter = Callable[[float, float], float]
"""A function that returns a number between two others, such as `random.uniform`."""

ABSENT_KIDS: Final = 1024
"""The most kids remembered as absent. With one more, the oldest kid is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How a key set ages, in seconds."""

    soft: float = 600.0
    """From this age on a set is stale: its keys are used, but it does not prove a kid absent."""
    hard: float = 6 * 3600.0
    """From this age on a set is not used at all."""
    cooldown: float = 5.0
    """The least time between a fetch and the next one for an unknown kid."""
    deadline: float = 3.0
    """The longest wait for a fetch; `Endpoint` limits the fetch itself to the same time."""
    first_retry: float = 1.0
    longest_retry: float = 30.0
    longest_absence: float = 60.0


class Schedule:
    """Decides on fetches. Not thread-safe: its owner holds a lock around changes."""

    def __init__(self, timing: Timing, jitter: Jitter) -> None:
        self._timing = timing
        self._jitter = jitter
        self._failures = 0
        self._seek_at = -math.inf
        self.due_at = -math.inf
        """The instant at which the next background fetch begins."""

    def started(self, now: float) -> None:
        self._seek_at = now + self._timing.cooldown

    def succeeded(self, now: float) -> None:
        """Set the next fetch shortly before the set is stale, at a random moment per process."""
        self._failures = 0
        self.due_at = now + self._timing.soft * self._jitter(0.8, 0.95)

    def failed(self, now: float) -> None:
        """Back off exponentially, for background fetches and for unknown kids alike."""
        self._failures += 1
        wait = self._timing.first_retry * 2 ** min(self._failures - 1, 30)
        self.due_at = now + min(wait, self._timing.longest_retry) * self._jitter(0.75, 1.0)
        self._seek_at = max(self._seek_at, self.due_at)

    def may_seek(self, now: float) -> bool:
        """Whether an unknown kid is worth a fetch now."""
        return now >= self._seek_at

    def retry_after(self, now: float) -> int:
        """Whole seconds until the next fetch may begin."""
        return max(1, math.ceil(self.due_at - now)) if self._failures else 1


class AbsentKids:
    """Kids that a fetch did not find; each is not sought again for a time that grows.

    The first time is one cooldown, so that a key published a moment too late is found soon. Each
    later time is twice as long as the one before, up to `longest_absence`, so that a client that
    keeps sending an old kid causes few fetches.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._until: BoundedMemory[str, tuple[float, float]] = BoundedMemory(ABSENT_KIDS)

    def holds(self, kid: str, now: float) -> bool:
        absence = self._until[kid]
        return absence is not None and now < absence[0]

    def add(self, kid: str, now: float) -> None:
        _, last = self._until[kid] or (0.0, 0.0)
        pause = min(max(2 * last, self._timing.cooldown), self._timing.longest_absence)
        self._until[kid] = (now + pause, pause)
