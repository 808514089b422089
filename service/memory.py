"""A bounded memory that threads share."""

from __future__ import annotations

from threading import RLock
from typing import TypeVar

from cachetools import FIFOCache

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedMemory(FIFOCache[Key, Value | None]):
    """Holds at most `size` values, and drops the oldest one. An absent key has the value None.

    Only writing takes a lock: reading a FIFO cache changes nothing and is one lookup in a dict. An
    LRU cache reorders itself when it is read, so each request would take the lock.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        # Reentrant, because a signal handler may log, and so write to the memory of the log filter,
        # while its thread holds the lock.
        self._lock = RLock()

    def __missing__(self, key: Key) -> None:
        """The value of an absent key."""

    def __setitem__(self, key: Key, value: Value | None) -> None:
        if self.maxsize:
            with self._lock:
                super().__setitem__(key, value)

    def take(self, key: Key) -> Value | None:
        """Remove a value and return it."""
        with self._lock:
            return self.pop(key, None)
