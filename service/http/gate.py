"""How much one process takes on at a time, and the end of all waiting when it is told to stop.

Load is what works, so a place is held for exactly that: from when a request is there as a whole,
and it is known whose it is, until its answer is ready. Neither reading a request nor writing an
answer takes a place: their pace is the client's. A request that waits for news and a stream cost
a greenlet and no CPU; they have bounds of their own.

Places are shared: one caller may hold a quarter of them and one client address a half, so that
whatever keeps their requests (a slow store, say) leaves room for everybody else. A request that
finds no place waits a moment for its turn and is then refused; nothing was done for it, and it
may safely come again.

Why wait: refusing costs about as much CPU as half a request. Refused at once, 400 clients that ask
again at once left it time for 27 instead of 490 rides a second; so it is 380
(`tests.load.bench.overload`). The newest has the next turn: the oldest is the most likely to be
refused or gone by then.

All requests of a process run in one thread (gevent), hence no lock.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Final, cast

from cachetools import TTLCache
from flask import Flask, current_app, g, request

from service.core import watch
from service.core.unicorns import Duty
from service.core.watch import Wait
from service.http import headers
from service.http.audit import client_address
from service.http.client import Client, client
from service.http.context import caller, dependencies
from service.http.problems import RETRY_SOON, Problem
from service.model import Ride
from service.observability.instruments import STREAMS, WAITERS
from service.settings import ApiSettings

_GATE: Final = "gate"

STOP: Final = "stop"
"""The extension the server calls, without arguments, when this process is to end."""

IS_BEHIND_PROXY: Final = "is_behind_proxy"
"""The extension by which the server knows whether its peers are clients or balancers."""

PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for its turn: bursts pass, and who asks again at once is slowed down."""

SHARES: Final[Mapping[str, int]] = {"subject": 4, "address": 2}
"""One subject, one client address may hold one in so many places."""

POLLS_PER_SUBJECT: Final = 20
"""Long polls of one caller in one process: several devices with several rides each."""

STREAMS_PER_SUBJECT: Final = 5
"""In one process; a page opened many times over stays one rider's problem."""

SUPERSEDE_SECONDS: Final = 10
"""A caller's stream may end the oldest this often, so that pages which all come back do not chase
one another."""

_CALLERS_REMEMBERED: Final = 10_000

STOPPING, GONE, SUPERSEDED = "stopping", "gone", "superseded"
"""What ends a wait early: the process, the client, a newer stream of the same caller."""

Holder = tuple[str, str]
"""Of a share: its kind, as in `SHARES`, and who."""


class Gate:
    """Counts what is under way."""

    def __init__(
        self,
        *,
        max_in_flight: int,
        max_waiters: int,
        patience: float = PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._max_waiters = max_waiters
        self._patience = patience
        self._held: Counter[Holder] = Counter()
        self._queue: dict[Event, tuple[Holder, ...]] = {}
        self._polls: Counter[str] = Counter()
        self._streams: defaultdict[str, list[Wait]] = defaultdict(list)
        self._superseded: TTLCache[str, bool] = TTLCache(
            _CALLERS_REMEMBERED, SUPERSEDE_SECONDS, timer=monotonic
        )
        self._waits: set[Wait] = set()
        self.in_flight = 0
        self.is_stopping = False

    @contextmanager
    def place(self, *holders: Holder) -> Iterator[None]:
        """While a request is worked on. Raises a 503 problem if there is no place in time."""
        if self._has_room(holders):
            self._take(holders)
        elif not self._gets_a_turn(holders):
            raise _busy("This is more than can be done at once; try again.")
        try:
            yield
        finally:
            self._leave(holders)

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    @property
    def waiters(self) -> int:
        """How many long polls and streams there are."""
        return len(self._waits)

    def has_room_to_wait(self, subject: str) -> bool:
        """Whether one more long poll of this caller may be held."""
        return self.waiters < self._max_waiters and self._polls[subject] < POLLS_PER_SUBJECT

    @contextmanager
    def waiting(self, client: Client, subject: str, *holders: Holder) -> Iterator[Wait]:
        """While a request only waits: its place is free meanwhile.

        Afterwards it has a place again even if there is none: what it waited for is done.
        """
        self._leave(holders)
        self._polls[subject] += 1
        try:
            with self._registered(client) as wait:
                yield wait
        finally:
            self._polls[subject] -= 1
            self._polls += Counter()  # forgets the zeros
            self._take(holders)

    @contextmanager
    def streaming(self, client: Client, subject: str) -> Iterator[Wait]:
        """While a stream is open, which outlives its request. Raises a 429 or 503 problem."""
        if self.waiters >= self._max_waiters:
            raise _busy("No more streams can be held open; try again, or ask now and then.")
        self._make_room_for_a_stream(subject)
        with self._registered(client) as wait, STREAMS.track_inprogress():
            self._streams[subject].append(wait)
            try:
                yield wait
            finally:
                if wait in self._streams[subject]:
                    self._streams[subject].remove(wait)
                if not self._streams[subject]:
                    del self._streams[subject]

    def stop(self) -> None:
        """End all waiting, now and from now on."""
        self.is_stopping = True
        for wait in tuple(self._waits):
            wait.end(STOPPING)

    def _has_room(self, holders: tuple[Holder, ...]) -> bool:
        return self.in_flight < self._max_in_flight and all(
            self._held[holder] < max(1, self._max_in_flight // SHARES[holder[0]])
            for holder in holders
        )

    def _take(self, holders: tuple[Holder, ...]) -> None:
        self.in_flight += 1
        self._held.update(holders)

    def _leave(self, holders: tuple[Holder, ...]) -> None:
        """Give the place to the newest of those in the queue who may have it."""
        self.in_flight -= 1
        for holder in holders:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
        for turn in reversed(self._queue):
            if self._has_room(self._queue[turn]):
                self._take(self._queue.pop(turn))
                turn.set()
                return

    def _gets_a_turn(self, holders: tuple[Holder, ...]) -> bool:
        # As many queue as the server takes connections.
        turn = Event()
        self._queue[turn] = holders
        turn.wait(self._patience)
        # Not by what `wait` returns: the turn may have come when the time was just up.
        return self._queue.pop(turn, None) is None

    def _make_room_for_a_stream(self, subject: str) -> None:
        open_streams = self._streams.get(subject, [])
        if len(open_streams) < STREAMS_PER_SUBJECT:
            return
        if subject in self._superseded:
            detail = f"At most {STREAMS_PER_SUBJECT} streams may be open at once."
            later = {"Retry-After": str(SUPERSEDE_SECONDS)}
            raise Problem(429, "too_many_streams", detail, headers=later)
        self._superseded[subject] = True
        # No longer counted, although a client that vanished may keep it open for a while.
        open_streams.pop(0).end(SUPERSEDED)

    @contextmanager
    def _registered(self, client: Client) -> Iterator[Wait]:
        """A wait that ends with its client and with this process."""
        wait = Wait()
        self._waits.add(wait)
        if self.is_stopping:
            wait.end(STOPPING)
        try:
            with client.watched(partial(wait.end, GONE)), WAITERS.track_inprogress():
                yield wait
        finally:
            self._waits.remove(wait)


def install(app: Flask, settings: ApiSettings) -> None:
    """Give the application its gate."""
    here = Gate(max_in_flight=settings.api_max_in_flight, max_waiters=settings.api_max_waiters)
    app.extensions[_GATE], app.extensions[STOP] = here, here.stop
    app.extensions[IS_BEHIND_PROXY] = settings.trusted_proxy_hops > 0


def gate() -> Gate:
    """This process's gate."""
    return cast(Gate, current_app.extensions[_GATE])


def holders() -> tuple[Holder, ...]:
    """Whose places the request under way takes."""
    hops = dependencies().settings.trusted_proxy_hops
    address = ("address", client_address(request.environ, hops))
    return (address, ("subject", caller().subject)) if "principal" in g else (address,)


def granted_wait() -> int | None:
    """Seconds of `Prefer: wait` if there is room to wait; a preference may be left aside."""
    return headers.preferred_wait() if gate().has_room_to_wait(caller().subject) else None


def wait_for_ride(ride: Ride, done: Callable[[Ride], bool], seconds: float) -> Ride:
    """The ride when `done` holds of it, the time is up or the wait ends; see `core.watch`."""
    deps = dependencies()
    with gate().waiting(client(), caller().subject, *holders()) as wait:
        return watch.wait_for_ride(deps.ports, ride, done, seconds, deps.monotonic, wait)


def wait_for_duty(duty: Duty, done: Callable[[Duty], bool], seconds: float) -> Duty:
    """Unicorn and ride when `done` holds of them, the time is up or the wait ends."""
    deps = dependencies()
    with gate().waiting(client(), caller().subject, *holders()) as wait:
        return watch.wait_for_duty(deps.ports, duty, done, seconds, deps.now, deps.monotonic, wait)


def _busy(detail: str) -> Problem:
    return Problem(503, "unavailable", detail, headers=RETRY_SOON)
