"""Announcements of changes by pub/sub, and one listening thread per process for all its waiters.

A thousand waiting requests cost one connection. Announcements may be lost (Redis restarts, a slow
reader is cut off); waiters look for themselves every few seconds, so a loss is only a delay.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import redis
from redis.client import PubSub
from redis.exceptions import RedisError

from service.stores.redis import keys
from service.stores.redis.link import RedisLink

logger = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_SECONDS: Final = 0.25
"""A waiter reads only once Redis confirmed that it listens; if it does not, it reads anyway."""
POLL_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = 0.5


class Waiter:
    """One waiter's ear on one topic."""

    def __init__(self) -> None:
        self.subscribed = threading.Event()
        self._woken = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Until the topic is announced or the time is up; true if announced."""
        woken = self._woken.wait(seconds)
        self._woken.clear()
        return woken

    def wake(self) -> None:
        self._woken.set()


class RedisChanges:
    """`Changes` on Redis. The listening thread starts with the first listener, so after any fork.

    `announce` raises `Unavailable`; `listen` never does, its waiters then just read more rarely.
    """

    def __init__(self, link: RedisLink, listening: redis.Redis) -> None:
        self._link = link
        self._listening = listening
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._pubsub: PubSub | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def announce(self, *topics: str) -> None:
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.publish(keys.channel(topic), "")
            pipe.execute()

    @contextmanager
    def listen(self, topic: str) -> Iterator[Waiter]:
        """Listen to a topic while the context lasts."""
        channel, waiter = keys.channel(topic), Waiter()
        self._join(channel, waiter)
        waiter.subscribed.wait(ACKNOWLEDGED_WITHIN_SECONDS)
        try:
            yield waiter
        finally:
            self._part(channel, waiter)

    def wake_all(self) -> None:
        """Wake every waiter of this process; nothing is sent."""
        with self._lock:
            waiters = [each for waiters in self._waiters.values() for each in waiters]
        for waiter in waiters:
            waiter.wake()

    def close(self) -> None:
        """End the listening thread and its connection."""
        self._closed.set()
        if self._thread:
            self._thread.join()

    def _join(self, channel: str, waiter: Waiter) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()
            self._waiters[channel].add(waiter)
            self._ask("subscribe", channel)

    def _part(self, channel: str, waiter: Waiter) -> None:
        with self._lock:
            self._waiters[channel].discard(waiter)
            if self._waiters[channel]:
                return
            del self._waiters[channel]
            self._ask("unsubscribe", channel)

    def _ask(self, verb: str, channel: str) -> None:
        """Say it on the listening thread's connection; with the lock held.

        Where that breaks, two threads repair or close it at once and anything may be raised, not
        only Redis errors. Then it is given up: the listening thread makes a new one, and subscribes
        everything anew.
        """
        if self._pubsub:
            try:
                getattr(self._pubsub, verb)(channel)
            except Exception as error:
                logger.info("connection for changes given up", extra={"cause": repr(error)})
                self._pubsub = None

    def _run(self) -> None:
        while not self._closed.is_set():
            pubsub: PubSub = self._listening.pubsub()  # type: ignore[no-untyped-call]
            try:
                self._subscribe_all(pubsub)
                self._read(pubsub)
            except Exception as error:
                # As above; a thread that ended here would leave every waiter deaf for good.
                logger.warning("changes not heard for a moment", extra={"cause": repr(error)})
            self._drop(pubsub)
            self._closed.wait(RECONNECT_SECONDS)

    def _subscribe_all(self, pubsub: PubSub) -> None:
        with self._lock:
            # One channel nobody announces on keeps the connection in subscribed mode.
            pubsub.subscribe(keys.channel(""), *self._waiters)
            self._pubsub = pubsub

    def _read(self, pubsub: PubSub) -> None:
        while not self._closed.is_set() and self._pubsub is pubsub:
            message = pubsub.get_message(timeout=POLL_SECONDS)
            if message and message["type"] in {"subscribe", "message"}:
                self._dispatch(message["type"], message["channel"])

    def _dispatch(self, kind: str, channel: str) -> None:
        with self._lock:
            waiters = tuple(self._waiters.get(channel, ()))
        for waiter in waiters:
            if kind == "subscribe":
                waiter.subscribed.set()
            else:
                waiter.wake()

    def _drop(self, pubsub: PubSub) -> None:
        with self._lock:
            self._pubsub = None
        with suppress(RedisError, OSError, ValueError):
            pubsub.close()
