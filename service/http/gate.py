"""Limits how many requests a process works on at once, and ends all waiting when it stops.

Each request that the process works on holds a place. It takes the place when the whole request has
arrived and its caller is known, and gives it back when the answer is ready. Reading a request and
writing an answer take no place, because a slow client can make them last. A request that waits for
news and an open stream hold no place either: they cost a greenlet and no CPU, and have limits of
their own.

One caller may hold a quarter of the places and one client address a half, so that others have room
even if all requests of that caller or address hang (on a slow store, for example). A request that
finds no place waits for up to a second. If it gets none, it is refused with 503: nothing was done
for it, so a client may retry.

Waiting is cheaper than refusing, which costs about half the CPU of a request. With 400 clients that
retry without a pause, refusing at once leaves time for 27 of 490 rides a second; waiting leaves 380
(`tests.load.bench.overload`). The newest request gets the next place, because the oldest one is the
most likely to be refused, or to lose its client, before it is done.

There is no lock: all requests of a process run in one thread (gevent).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Event
from typing import Final, cast

from cachetools import TTLCache
from flask import Flask, current_app, g, request

from service.core import watch
from service.core.unicorns import UnicornAndRide
from service.core.watch import Wait
from service.http import headers
from service.http.audit import client_address
from service.http.context import Client, caller, client, dependencies
from service.http.problems import RETRY_SOON, Problem
from service.model import Ride
from service.observability.instruments import STREAMS, WAITERS
from service.settings import ApiSettings

_GATE: Final = "gate"

STOP: Final = "stop"
"""The Flask extension that the server calls, without arguments, when the process stops."""

IS_BEHIND_PROXY: Final = "is_behind_proxy"
"""The Flask extension that says whether connections come from a load balancer."""

CLIENT_ADDRESS: Final = "client_address"
"""The Flask extension that computes a client's address from a WSGI environment."""

PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for a place, so that a burst passes and clients retry less often."""

SHARES: Final[Mapping[str, int]] = {"subject": 4, "address": 2}
"""The share of all places that one holder may have: 4 means a quarter, 2 a half."""

POLLS_PER_SUBJECT: Final = 20
"""The most long polls of one caller in one process: enough for several devices, each with several
rides."""

STREAMS_PER_SUBJECT: Final = 5
"""The most open streams of one caller in one process, so that a page that is opened many times
cannot take all of them."""

SUPERSEDE_SECONDS: Final = 10
"""Within this time, only one new stream may end the caller's oldest stream. Without that limit,
pages that reconnect would end one another's streams for ever."""

_CALLERS_REMEMBERED: Final = 10_000

STOPPING, GONE, SUPERSEDED = "stopping", "gone", "superseded"
"""Why a wait ends early: the process stops, the client is gone, or a newer stream of the caller
replaced it."""

Holder = tuple[str, str]
"""Who holds a place: the kind (a key of `SHARES`), and the subject or the client address."""


class Gate:
    """Counts the requests, long polls and streams of this process, and limits them."""

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
        """Hold a place while the process works on a request.

        Raises a 503 problem if no place becomes free in time.
        """
        if self._has_room(holders):
            self._take(holders)
        elif not self._gets_a_turn(holders):
            raise _busy("The service has too many requests at once; try again.")
        try:
            yield
        finally:
            self._leave(holders)

    @property
    def waiters(self) -> int:
        """The number of long polls and streams."""
        return len(self._waits)

    def has_room_to_wait(self, subject: str) -> bool:
        """Whether one more long poll of this caller may be held."""
        return self.waiters < self._max_waiters and self._polls[subject] < POLLS_PER_SUBJECT

    @contextmanager
    def waiting(self, client: Client, subject: str, *holders: Holder) -> Iterator[Wait]:
        """Give up the request's place while the request waits for news.

        Afterwards the request has a place again, even if that makes one too many, because it must
        be answered with the news.
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
    def streaming(self, client: Client) -> Iterator[Wait]:
        """Registers a stream as a wait, from its first read to its end.

        Raises a 503 problem if there are too many waiters.
        """
        if self.waiters >= self._max_waiters:
            raise _busy("The service has too many open streams; try again, or poll instead.")
        with self._registered(client) as wait:
            yield wait

    @contextmanager
    def open_stream(self, wait: Wait, subject: str) -> Iterator[None]:
        """Count a stream of a caller while it is open, which is longer than its request.

        Raises a 429 problem if the caller has too many.
        """
        self._make_room_for_a_stream(subject)
        self._streams[subject].append(wait)
        try:
            with STREAMS.track_inprogress():
                yield
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
        """Free the place and give it to the newest request in the queue that may have it."""
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
        # The queue is bounded by the server's limit on connections.
        turn = Event()
        self._queue[turn] = holders
        turn.wait(self._patience)
        # `wait` may return False although the turn came just after the time was up.
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
        # The oldest stream no longer counts. If its client has vanished, it may stay open a while.
        open_streams.pop(0).end(SUPERSEDED)

    @contextmanager
    def _registered(self, client: Client) -> Iterator[Wait]:
        """A wait that ends when its client disconnects or this process stops."""
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
    """Give the application a gate with the limits of the settings."""
    here = Gate(max_in_flight=settings.api_max_in_flight, max_waiters=settings.api_max_waiters)
    app.extensions[_GATE], app.extensions[STOP] = here, here.stop
    hops = settings.trusted_proxy_hops
    app.extensions[IS_BEHIND_PROXY] = hops > 0
    app.extensions[CLIENT_ADDRESS] = partial(client_address, trusted_hops=hops)


def gate() -> Gate:
    """This process's gate."""
    return cast(Gate, current_app.extensions[_GATE])


def holders() -> tuple[Holder, ...]:
    """The holders whose share the current request uses: its address and, if known, its subject."""
    hops = dependencies().settings.trusted_proxy_hops
    address = ("address", client_address(request.environ, hops))
    return (address, ("subject", caller().subject)) if "principal" in g else (address,)


def granted_wait() -> int | None:
    """Seconds of `Prefer: wait`; None if absent, or if there is no room for one more long poll.

    Call it just before the wait, because other requests may take the room during a remote call.
    """
    return headers.preferred_wait() if gate().has_room_to_wait(caller().subject) else None


def wait_for_ride(ride: Ride, done: Callable[[Ride], bool], seconds: float) -> Ride:
    """The ride as soon as `done` is true of it, the time is up or the wait ends (`core.watch`)."""
    deps = dependencies()
    with _waiting() as wait:
        return watch.wait_for_ride(deps.ports, ride, done, seconds, deps.monotonic, wait)


def wait_for_unicorn(
    both: UnicornAndRide, done: Callable[[UnicornAndRide], bool], seconds: float
) -> UnicornAndRide:
    """Unicorn and ride as soon as `done` is true of them, the time is up or the wait ends."""
    deps = dependencies()
    with _waiting() as wait:
        return watch.wait_for_unicorn(
            deps.ports, both, done, seconds, deps.now, deps.monotonic, wait
        )


def _waiting() -> AbstractContextManager[Wait]:
    # The frame records the times of requests that waited, under a label of their own.
    g.waited = True
    return gate().waiting(client(), caller().subject, *holders())


def _busy(detail: str) -> Problem:
    return Problem(503, "unavailable", detail, headers=RETRY_SOON)
