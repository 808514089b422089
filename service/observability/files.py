"""Memory-mapped files of counters that do not kill the process when the file system is full.

prometheus_client (0.26) maps sparse files. On a full file system, such as the 64 MB of `/dev/shm`
that a container has by default, a write to a page without space raises SIGBUS. This class reserves
the space before it maps a page; without space, the process counts in its own memory only.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import cache
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

FIRST_BYTES: Final = 8192
"""Enough for about fifty series; the size doubles when it is used up."""

Sample = tuple[float, float]
"""A value and its timestamp."""


class CounterFile(MmapedDict):
    """One file of one process. A series for which there is no room is missing in scrapes."""

    def __init__(self, filename: str) -> None:
        self._path = filename
        self._unseen: dict[str, Sample] = {}
        self._positions: dict[str, int] = {}
        self._f = None  # type: ignore[assignment] # as after `close`
        if self._reserve(FIRST_BYTES):
            super().__init__(filename)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> Sample:
        if self._has_room(key):
            value: Sample = super().read_value(key)  # type: ignore[no-untyped-call]
            return value
        return self._unseen.get(key, (0.0, 0.0))

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        if self._has_room(key):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        else:
            self._unseen[key] = value, timestamp

    def _has_room(self, key: str) -> bool:
        if key in self._positions:
            return True
        if self._f is None or key in self._unseen:
            return False
        # A length, the padded name, a value and a timestamp.
        needed = self._used + 4 + len(key.encode()) + 8 + 16
        return bool(needed <= self._capacity) or self._reserve(2 * self._capacity)

    def _reserve(self, size: int) -> bool:
        try:
            with open(self._path, "ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            _tell(str(error))
            with suppress(OSError):
                # An empty file would make every scrape of the role fail.
                if not os.path.getsize(self._path):
                    os.unlink(self._path)
            return False
        return True


@cache
def _tell(cause: str) -> None:
    """Log once that there is no room."""
    logger.error("no room for metrics: this process is not fully counted", extra={"cause": cause})
