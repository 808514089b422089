"""Who goes first in a worker that serves all its connections in one thread.

Whatever the event loop finds ready runs until it waits for something. Without an order, a thousand
connections of one address that come at once would keep everybody else waiting. So an address that
has a crowd of connections takes turns: what one of them has sent is worked on only when nothing
else is ready, and a little after the turn before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import gevent  # type: ignore[import-untyped]
from gevent.lock import Semaphore  # type: ignore[import-untyped]

CROWD: Final = 100
"""Connections of one address that make a crowd: more than a household or a small office has. Many
people behind one address lose little by it as long as the process is idle now and then."""

PAUSE_SECONDS: Final = 0.005
"""Time from one turn of a crowd to the next. A request takes one to two milliseconds, so all crowds
together get a third of a process, and a request of somebody else, which waits for stores several
times, meets few of theirs."""

PATIENCE_SECONDS: Final = 0.05
"""How long a turn waits for an idle moment at most, so that a busy process still serves a crowd."""


class Crowds:
    """Counts what each address has open, and gives turns to those with a crowd."""

    def __init__(self) -> None:
        self._sizes: Counter[str] = Counter()
        self._turn = Semaphore(1)
        self._next_at = 0.0

    @contextmanager
    def counted(self, address: str, most: int | None = None) -> Iterator[None]:
        """Count a connection or request of this address for the duration of the context.

        Raises `ConnectionRefusedError` if the address has `most` already.
        """
        if most is not None and self._sizes[address] >= most:
            raise ConnectionRefusedError(f"{address} has too many connections")
        self._sizes[address] += 1
        try:
            yield
        finally:
            self._sizes[address] -= 1
            if not self._sizes[address]:
                del self._sizes[address]

    def take_turn(self, address: str) -> None:
        """If the address has a crowd, wait for a turn and for a moment when nothing is ready."""
        if self._sizes[address] <= CROWD:
            return
        with self._turn:
            gevent.sleep(max(0.0, self._next_at - monotonic()))
            with gevent.Timeout(PATIENCE_SECONDS, False):
                gevent.idle()
            self._next_at = monotonic() + PAUSE_SECONDS
