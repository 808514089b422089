"""Announcements of changes, through Redis."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Changes(Protocol):
    """Wakes those who wait for a ride or unicorn to change. Announcements may be lost, so waiters
    read again at intervals."""

    def announce(self, *topics: str) -> None: ...

    def listen(self, topic: str) -> AbstractContextManager[Listener]: ...


class Listener(Protocol):
    def wait(self, seconds: float) -> bool:
        """Wait until the topic is announced or the time is up; True if it was announced."""

    def wake(self) -> None:
        """End the wait under way, or the next one, as if the topic had been announced."""
