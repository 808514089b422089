"""Limits how much of a web process the connections of one address get.

A web process serves all its connections in one thread, and the event loop runs each ready request
until it waits for something. Without this module, a thousand simultaneous connections of one
address would keep all other clients waiting. An address with more than `CROWD` connections is a
crowd. The process works on one piece of a crowd's input at a time, and only when nothing else is
ready, or after `PATIENCE_SECONDS`. While other addresses call, it pauses between two pieces
(`PAUSE_SECONDS`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import gevent  # type: ignore[import-untyped]
from gevent.lock import Semaphore  # type: ignore[import-untyped]

CROWD: Final = 100
"""An address with more connections than this is a crowd. A household or a small office has fewer.
A larger group behind one address loses little as long as the process is idle now and then."""

PAUSE_SECONDS: Final = 0.005
"""Pause in seconds between two turns of a crowd while other addresses call. A request takes 1 to
2 ms, so a crowd gets a third of a process. A request of another address waits for stores several
times; with the pause, few requests of the crowd run in between."""

OTHERS_SECONDS: Final = 1.0
"""For this many seconds after the last call of another address, a crowd pauses between its turns.
After that it has the whole process."""

PATIENCE_SECONDS: Final = 0.05
"""The longest time in seconds that a turn waits for an idle moment, so that a busy process still
serves a crowd."""


@dataclass(slots=True)
class Address:
    """The number of open connections (or requests) of an address; its turns if it is a crowd."""

    size: int = 0
    turn: Semaphore = field(default_factory=Semaphore)
    next_at: float = -math.inf


class Crowds:
    """Counts the connections (or requests) of each address, and gives turns to crowds."""

    def __init__(self) -> None:
        self.addresses: dict[str, Address] = {}
        self._others_at = -math.inf

    @contextmanager
    def counted(self, name: str, most: int | None = None) -> Iterator[None]:
        """Count a connection or request of this address for the duration of the context.

        Raises `ConnectionRefusedError` if the address already has `most` of them.
        """
        address = self.addresses.setdefault(name, Address())
        if most is not None and address.size >= most:
            raise ConnectionRefusedError(f"{name} has too many connections")
        address.size += 1
        try:
            yield
        finally:
            address.size -= 1
            if not address.size:
                del self.addresses[name]

    def take_turn(self, name: str) -> None:
        """If the address is a crowd, wait for a turn and for a moment when nothing is ready."""
        address = self.addresses.get(name)
        if address is None:
            return
        if address.size <= CROWD:
            self._others_at = monotonic()
            return
        with address.turn:
            if monotonic() < self._others_at + OTHERS_SECONDS:
                gevent.sleep(max(0.0, address.next_at - monotonic()))
            with gevent.Timeout(PATIENCE_SECONDS, False):
                gevent.idle()
            address.next_at = monotonic() + PAUSE_SECONDS
