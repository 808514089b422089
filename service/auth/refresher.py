"""Runs fetches in one background thread, so that all who wait at the same time share one fetch."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Final

from service.auth.schedule import Schedule

logger = logging.getLogger(__name__)

WAITING_AT_MOST: Final = 32
"""The most callers that may wait at once while keys are in use, so that a flood of unknown kids
blocks no more callers than these."""


class Refresher:
    """Runs `attempt` when the schedule says so, or on request if the schedule allows it.

    `attempt` returns if it succeeds and raises if it fails. No lock is held while it runs.
    """

    def __init__(
        self,
        attempt: Callable[[], None],
        schedule: Schedule,
        clock: Callable[[], float],
        deadline_seconds: float,
    ) -> None:
        self._attempt = attempt
        self._schedule = schedule
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._wanted = False
        self._running = False
        self._began_at = -math.inf
        self._finished = 0
        self._waiting = 0

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            with self._changed:
                if self._thread is None and not self._closed:
                    self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """End the thread; an attempt under way is finished first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()

    def can_attempt(self, now: float) -> bool:
        """Whether an attempt is under way or may begin now. Takes no lock."""
        return self._running or self._schedule.may_seek(now)

    def wait_for_attempt(self, *, is_serving: bool) -> None:
        """Wait until the attempt under way ends, or a new one if the schedule allows one now.

        Returns at once if there is neither, or if keys are in use (`is_serving`) and
        `WAITING_AT_MOST` callers wait already. Returns at the latest at the attempt's deadline.
        """
        with self._changed:
            now = self._clock()
            if not self._running and self._schedule.may_seek(now):
                self._wanted = True
                self._begin(now)
                self._changed.notify_all()
            if self._running and not (is_serving and self._waiting >= WAITING_AT_MOST):
                self._wait(self._began_at + self._deadline_seconds - now)

    def _wait(self, seconds: float) -> None:
        finished = self._finished
        self._waiting += 1
        try:
            self._changed.wait_for(lambda: self._finished != finished, seconds)
        finally:
            self._waiting -= 1

    def _begin(self, now: float) -> None:
        self._running = True
        self._began_at = now
        self._schedule.started(now)

    def _run(self) -> None:
        while self._sleep_until_due():
            succeeded = self._try()
            with self._changed:
                if succeeded:
                    self._schedule.succeeded(self._clock())
                else:
                    self._schedule.failed(self._clock())
                self._running = False
                self._finished += 1
                self._changed.notify_all()

    def _sleep_until_due(self) -> bool:
        """Sleep until the next attempt is due; False if `close` was called."""
        with self._changed:
            left = max(self._schedule.due_at - self._clock(), 0.0)
            self._changed.wait_for(lambda: self._closed or self._wanted, left)
            if not self._wanted:
                self._begin(self._clock())
            self._wanted = False
            return not self._closed

    def _try(self) -> bool:
        try:
            self._attempt()
        except Exception as error:  # any error: the thread must go on
            logger.warning(
                "keys not refreshed",
                # Cut, because the message may quote what the other side sent.
                extra={"cause": f"{type(error).__name__}: {error}"[:200]},
            )
            return False
        return True
