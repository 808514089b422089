"""Who goes first in a worker that serves all its connections in one thread.

Whatever the event loop finds ready runs until it waits for something. Without an order, a thousand
connections of one address that come at once would keep everybody else waiting. So an address that
has a crowd of connections takes turns: what one of them has sent is worked on only when nothing
else is ready and, while others call, a little after the turn before.
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
"""Connections of one address that make a crowd: more than a household or a small office has. Many
people behind one address lose little by it as long as the process is idle now and then."""

PAUSE_SECONDS: Final = 0.005
"""Time from one turn of a crowd to the next while others call. A request takes one to two
milliseconds, so a crowd gets a third of a process, and a request of somebody else, which waits for
stores several times, meets few of its requests."""

OTHERS_SECONDS: Final = 1.0
"""How long after a call of somebody else a crowd makes pauses. Alone it has the whole process."""

PATIENCE_SECONDS: Final = 0.05
"""How long a turn waits for an idle moment at most, so that a busy process still serves a crowd."""


@dataclass(slots=True)
class Address:
    """What an address has open, and the turns of its crowd."""

    size: int = 0
    turn: Semaphore = field(default_factory=Semaphore)
    next_at: float = -math.inf


class Crowds:
    """Counts what each address has open, and gives turns to those with a crowd."""

    def __init__(self) -> None:
        self.addresses: dict[str, Address] = {}
        self._others_at = -math.inf

    @contextmanager
    def counted(self, name: str, most: int | None = None) -> Iterator[None]:
        """Count a connection or request of this address for the duration of the context.

        Raises `ConnectionRefusedError` if the address has `most` already.
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
        """If the address has a crowd, wait for a turn and for a moment when nothing is ready."""
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
