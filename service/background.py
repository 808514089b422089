"""Repeats work in the background of a process, and keeps copies of what is stored elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self

logger = logging.getLogger(__name__)


class Repeated:
    """Runs `work` in a thread of its own, `seconds` after its last run ended or at once on `hurry`.

    The thread ends on `close`, or when `work` returns False (None does not end it). An exception
    from `work` is logged as a warning, the ones directly after it at DEBUG, and the thread goes on.
    Start it after any fork.
    """

    def __init__(self, name: str, work: Callable[[], object], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._hurried = threading.Event()
        self._ran_once = threading.Event()
        self._closed = False
        self._failing = False

    def start(self, first_within: float = 0.0) -> None:
        """Start the thread, and wait up to `first_within` seconds for its first run to end."""
        self._thread.start()
        self._ran_once.wait(first_within)

    def hurry(self) -> None:
        """Run once more at once, or after the run under way."""
        self._hurried.set()

    def close(self) -> None:
        """End the thread; a run under way is finished first."""
        self._closed = True
        self._hurried.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            # The event is cleared before `_closed` is read. In the other order, a `close` between
            # the two would be forgotten.
            self._hurried.clear()
            if self._closed:
                return
            goes_on = self._run_once() is not False
            self._ran_once.set()
            if not goes_on:
                return
            self._hurried.wait(self._seconds)

    def _run_once(self) -> object:
        try:
            result = self._work()
            self._failing = False
            return result
        except Exception as error:  # any error: the thread must go on
            level = logging.DEBUG if self._failing else logging.WARNING
            logger.log(level, "%s failed", self._thread.name, extra={"cause": repr(error)[:200]})
            self._failing = True
            return None


class BackgroundCopy:
    """A copy of what is stored elsewhere. After `start`, a thread repeats `refresh`.

    `first_within`: how long `start` waits for the first read, in seconds.
    """

    def __init__(self, name: str, seconds: float, first_within: float = 0.0) -> None:
        self._reading = Repeated(name, self.refresh, seconds)
        self._first_within = first_within

    def refresh(self) -> None:
        """Read what is stored. Raises `Unavailable`."""
        raise NotImplementedError

    def start(self) -> Self:
        """Begin to read in the background. Call after any fork."""
        self._reading.start(self._first_within)
        return self

    def hurry(self) -> None:
        """Read at once, because something has changed."""
        self._reading.hurry()

    def close(self) -> None:
        """End the reading."""
        self._reading.close()
