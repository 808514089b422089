"""Delivers every broker message up to three times, shuffled.

It watches all commands that Redis executes (MONITOR) and pushes copies of each published message,
under delivery tags of their own, after a random delay, so that they arrive in another order.
"""

from __future__ import annotations

import heapq
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import redis

from service.stores.broker import KEY_PREFIX

LONGEST_DELAY_SECONDS = 1.5


class Duplicator:
    """Runs in two threads until `end`; survives every death of Redis."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._chance = random.Random(seed)
        self._seen: set[str] = set()
        self._due: list[tuple[float, str, str]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.copies = 0
        self._threads = [
            threading.Thread(target=self._forever, args=(step,), name="duplicator")
            for step in (self._watch, self._push)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _forever(self, step: Callable[[redis.Redis], None]) -> None:
        while not self._ended.is_set():
            try:
                with redis.Redis.from_url(
                    self._url, decode_responses=True, socket_timeout=0.5
                ) as client:
                    step(client)
            except (redis.RedisError, OSError, ValueError):
                self._ended.wait(0.05)

    def _watch(self, client: redis.Redis) -> None:
        with client.monitor() as monitor:  # type: ignore[no-untyped-call]
            while not self._ended.is_set():
                command = monitor.next_command()["command"]
                verb, _, rest = command.partition(" ")
                name, _, message = rest.partition(" ")
                if verb.upper() == "LPUSH" and name.startswith(KEY_PREFIX):
                    self._plan(name, message)

    def _plan(self, name: str, message: str) -> None:
        task = str(json.loads(message)["headers"]["id"])
        if task in self._seen:
            return
        self._seen.add(task)
        with self._lock:
            for _ in range(self._chance.randrange(3)):
                at = time.monotonic() + self._chance.uniform(0, LONGEST_DELAY_SECONDS)
                heapq.heappush(self._due, (at, name, message))

    def _push(self, client: redis.Redis) -> None:
        while not self._ended.wait(0.02):
            for name, message in self._ready():
                client.lpush(name, redelivered(message))
                self.copies += 1

    def _ready(self) -> Iterator[tuple[str, str]]:
        with self._lock:
            while self._due and self._due[0][0] <= time.monotonic():
                _, name, message = heapq.heappop(self._due)
                yield name, message


def redelivered(message: str) -> str:
    """A copy of the message as another delivery."""
    copy = json.loads(message)
    copy["properties"]["delivery_tag"] = str(uuid.uuid4())
    return json.dumps(copy)
