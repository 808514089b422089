"""How much one process takes on at a time, and the end of all waiting when it is told to stop.

Load is what works. A request that waits for news or streams it costs a greenlet and no CPU, so
those have a bound of their own. More work than the bound waits a moment for its turn and is then
refused before anything is done for it, token and body unread: what was accepted stays quick, and
who was refused may safely come again.

Why wait: refusing costs about as much CPU as half a request. Refused at once, 400 clients that ask
again at once left it time for 27 instead of 490 rides a second; so it is 380
(`tests.load.bench.overload`). The newest has the next turn: the oldest is the most likely to be
refused or gone by then.

All requests of a process run in one thread (gevent), hence no lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final, cast

from flask import Flask, current_app, request

from service.core.ports import Changes
from service.http.frame import QUIET
from service.http.problems import RETRY_SOON, Problem
from service.settings import ApiSettings

_GATE: Final = "gate"
_COUNTED: Final = "dispatch.counted"

STOP: Final = "stop"
"""The extension the server calls, without arguments, when this process is to end."""

PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for its turn: bursts pass, and who asks again at once is slowed down."""

STREAMS_PER_SUBJECT: Final = 5
"""In one process; a page opened many times over stays one rider's problem."""


class Gate:
    """Counts what is under way."""

    def __init__(
        self, *, max_in_flight: int, max_waiters: int, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._max_in_flight = max_in_flight
        self._max_waiters = max_waiters
        self._patience = patience
        self._queue: dict[Event, None] = {}
        self._streams: Counter[str] = Counter()
        self.in_flight = 0
        self.waiters = 0
        self.is_stopping = False

    def enter(self) -> None:
        """Begin work on a request when there is room, or raise a 503 problem."""
        if self.in_flight < self._max_in_flight:
            self.in_flight += 1
        elif not self._gets_a_turn():
            raise _busy("This is more than can be done at once; try again.")

    def leave(self) -> None:
        """Give the place to the newest of those who wait for one."""
        if self._queue and self.in_flight <= self._max_in_flight:
            self._queue.popitem()[0].set()
        else:
            self.in_flight -= 1

    def _gets_a_turn(self) -> bool:
        # As many queue as the server takes connections.
        turn = Event()
        self._queue[turn] = None
        turn.wait(self._patience)
        # Not by what `wait` returns: the turn may have come when the time was just up.
        was_let_in = turn not in self._queue
        self._queue.pop(turn, None)
        return was_let_in

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    @property
    def has_room_to_wait(self) -> bool:
        """Few may pass at once and overshoot the bound by as many as are in flight."""
        return self.waiters < self._max_waiters

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While a request in flight only waits."""
        self.leave()
        self.waiters += 1
        try:
            yield
        finally:
            self.waiters -= 1
            self.in_flight += 1

    @contextmanager
    def streaming(self, subject: str) -> Iterator[None]:
        """While a stream is open, which outlives its request. Raises a 429 or 503 problem."""
        if self._streams[subject] >= STREAMS_PER_SUBJECT:
            detail = f"At most {STREAMS_PER_SUBJECT} streams may be open at once."
            raise Problem(429, "too_many_streams", detail, headers=RETRY_SOON)
        if not self.has_room_to_wait:
            raise _busy("No more streams can be held open; try again, or ask now and then.")
        self._streams[subject] += 1
        self.waiters += 1
        try:
            yield
        finally:
            self.waiters -= 1
            self._streams[subject] -= 1
            self._streams += Counter()  # forgets the zeros


def install(app: Flask, settings: ApiSettings, changes: Changes) -> None:
    """Count every request but those that ask after the process itself."""
    gate = Gate(max_in_flight=settings.api_max_in_flight, max_waiters=settings.api_max_waiters)

    def begin() -> None:
        if request.path not in QUIET:
            gate.enter()
            request.environ[_COUNTED] = True

    def end(_: BaseException | None) -> None:
        if request.environ.pop(_COUNTED, False):
            gate.leave()

    def stop() -> None:
        gate.is_stopping = True
        changes.wake_all()

    app.extensions[_GATE], app.extensions[STOP] = gate, stop
    app.before_request(begin)
    app.teardown_request(end)


def gate() -> Gate:
    """This process's gate."""
    return cast(Gate, current_app.extensions[_GATE])


def _busy(detail: str) -> Problem:
    return Problem(503, "unavailable", detail, headers=RETRY_SOON)
