"""Two Redis servers with replication, and doors that stand for the name of the primary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, Self

import redis
from redis.exceptions import RedisError

from tests.support.infrastructure import RedisServer, wait_until

REPLICATED_WITHIN_SECONDS = 5.0


class Door(Protocol):
    """Leads new connections to a port when told `lead PORT` (`tests.load.chaos.proxy`)."""

    def order(self, line: str) -> None: ...


class RedisPair:
    """`primary` is where the name leads, `replica` follows it. A context manager."""

    def __init__(self, first: RedisServer, second: RedisServer) -> None:
        self.primary, self.replica = first, second
        self.doors: list[Door] = []

    def __enter__(self) -> Self:
        self.primary.start()
        self.replica.start()
        self.follow()
        wait_until(self._is_replicated, "replication")
        return self

    def __exit__(self, *_: object) -> None:
        self.replica.stop()
        self.primary.stop()

    def fail_over(self) -> None:
        """The replica becomes the primary, the names lead to it, the old one follows it.

        Clients keep their connections to the old one, as they do when a name changes.
        """
        end = time.monotonic() + REPLICATED_WITHIN_SECONDS
        while not self._is_replicated() and time.monotonic() < end:
            time.sleep(0.05)
        self.promote()
        self.follow()

    def promote(self) -> None:
        """Make the replica the primary, whatever became of the old one."""
        with admin(self.replica) as client:
            client.replicaof("NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
        for door in self.doors:
            door.order(f"lead {self.primary.port}")

    def follow(self) -> None:
        """Have the other server replicate the primary."""
        with admin(self.replica) as client:
            client.replicaof("127.0.0.1", str(self.primary.port))

    def _is_replicated(self) -> bool:
        try:
            with admin(self.replica) as client:
                return bool(client.info("replication").get("master_link_status") == "up")
        except RedisError:
            return False


@contextmanager
def admin(server: RedisServer) -> Iterator[Any]:
    """A client of that very server, wherever the name leads."""
    with redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=10) as client:
        yield client
