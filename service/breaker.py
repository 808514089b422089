"""A breaker: after a failure a peer is not called for a while, so that callers fail fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Breaker:
    """Open for `seconds` after each `trip`. Safe to share between threads."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._open_until = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether the last failure is too recent to try again."""
        return self._monotonic() < self._open_until

    def trip(self) -> None:
        """Note a failure that has just happened."""
        self._open_until = self._monotonic() + self._seconds
