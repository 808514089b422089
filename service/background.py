"""Work that a process repeats beside its requests and jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Repeated:
    """Runs `work` in a thread of its own: `seconds` after its last end, and at once on `hurry`.

    The thread ends on `close`, and when `work` returns false (not none). Whatever `work` raises is
    logged, once for a row of failures, and the thread goes on. Start it after any fork.
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
        """Begin, and wait up to `first_within` seconds for the end of the first run."""
        self._thread.start()
        self._ran_once.wait(first_within)

    def hurry(self) -> None:
        """Run once more without waiting; during a run: after it."""
        self._hurried.set()

    def close(self) -> None:
        """End the thread, after the run it may be in."""
        self._closed = True
        self._hurried.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._hurried.clear()
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
        except Exception as error:  # whatever it is, the thread has to outlive it
            level = logging.DEBUG if self._failing else logging.WARNING
            logger.log(level, "%s failed", self._thread.name, extra={"cause": repr(error)[:200]})
            self._failing = True
            return None
