"""Announces changes by pub/sub: one channel for all topics, one subscription per process.

A thousand waiting requests need one connection. Announcements may be lost (Redis restarts, or cuts
off a slow reader); waiters read again every few seconds, so a loss only causes a delay.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import redis

from service.stores.redis import keys
from service.stores.redis.link import RedisLink

logger = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_SECONDS: Final = 0.25
"""The longest wait until this process is subscribed. After it, the waiter reads anyway."""
POLL_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = 0.5
MOST_UNANSWERED_PINGS: Final = 3
"""The most unanswered pings; with one more, the connection counts as lost. redis-py sends pings
(after 5 s of silence, then every second) but ignores missing answers, so a dead connection would be
noticed only after a quarter of an hour."""

_SENT_ON_THE_CHANNEL: Final = "told"
"""What this release sends on the channels of the previous release, to tell its own messages from
the empty ones of that release."""


class Waiter:
    """One waiter for one topic."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait until the topic is announced or the time is up; True if it was announced."""
        woken = self._woken.wait(seconds)
        self._woken.clear()
        return woken

    def wake(self) -> None:
        self._woken.set()


class RedisChanges:
    """`Changes` on Redis. The subscribing thread starts with the first topic, so after any fork.

    `announce` makes one remote call and raises `Unavailable`. `listen` never raises: while Redis is
    down its waiters only read less often.
    """

    def __init__(self, link: RedisLink, subscriber: redis.Redis) -> None:
        self._link = link
        self._subscriber = subscriber
        self._lock = threading.Lock()
        self._calls: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._subscribed = threading.Event()
        self._closed = threading.Event()

    def announce(self, *topics: str) -> None:
        """Wake the waiters of these topics in every process."""
        with self._link.pipe() as pipe:
            for topic in topics:
                pipe.publish(keys.CHANGES, topic)
                # For one release: processes of the previous release listen to a channel per topic.
                pipe.publish(keys.former_channel(topic), _SENT_ON_THE_CHANNEL)
            pipe.execute()

    @contextmanager
    def listen(self, topic: str) -> Iterator[Waiter]:
        """Listen to a topic inside the context."""
        waiter = Waiter()
        self.on(topic, waiter.wake)
        try:
            self._subscribed.wait(ACKNOWLEDGED_WITHIN_SECONDS)
            yield waiter
        finally:
            self._leave(topic, waiter.wake)

    def on(self, topic: str, call: Callable[[], None]) -> None:
        """Call `call`, which must not block, whenever the topic is announced."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()
            self._calls[topic].add(call)

    def close(self) -> None:
        """End the subscribing thread and its connection."""
        self._closed.set()
        if self._thread:
            self._thread.join()

    def _leave(self, topic: str, call: Callable[[], None]) -> None:
        with self._lock:
            self._calls[topic].discard(call)
            if not self._calls[topic]:
                del self._calls[topic]

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with self._subscriber.pubsub() as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(keys.CHANGES)
                    pubsub.psubscribe(keys.former_channel("*"))
                    self._read(pubsub)
            except Exception as error:
                # Any error: if the thread ended here, no waiter would be woken any more.
                logger.warning("subscription to changes lost", extra={"cause": repr(error)})
            self._subscribed.clear()
            self._closed.wait(RECONNECT_SECONDS)

    def _read(self, pubsub: Any) -> None:
        while not self._closed.is_set():
            message = pubsub.get_message(timeout=POLL_SECONDS)
            if message:
                self._hear(message)
            if pubsub.health_check_response_counter > MOST_UNANSWERED_PINGS:
                raise ConnectionError("Redis no longer answers")

    def _hear(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "psubscribe":
                self._subscribed.set()
            case "message":
                self._wake(message["data"])
            case "pmessage" if message["data"] != _SENT_ON_THE_CHANNEL:
                self._wake(message["channel"].removeprefix(keys.former_channel("")))

    def _wake(self, topic: str) -> None:
        with self._lock:
            calls = tuple(self._calls.get(topic, ()))
        for call in calls:
            call()
