"""Files of counters in memory that never cost the process its life.

prometheus_client (0.26) maps sparse files. On a full file system, such as the 64 MB of `/dev/shm`
that a container has by default, the write to a page that cannot be had is a SIGBUS. Here the space
is taken before it is mapped; where there is none, the process counts for itself alone.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

FIRST_BYTES: Final = 8192
"""Room for some fifty series; doubled when it is used up."""

Sample = tuple[float, float]
"""A value and its timestamp."""


class CounterFile(MmapedDict):
    """One file of one process. Series for which there is no room are not seen by a scrape."""

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
            return False
        return True


@cache
def _tell(cause: str) -> None:
    """Say once that there is no room."""
    logger.error("no room for metrics: this process is not counted", extra={"cause": cause})
