"""The two sets of stores that the ride machine runs on: fakes, and real DynamoDB tables and Redis.

Both can lose an answer and all of Redis, and let simulated time pass for what expires in Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from service.core.ports import (
    Assignments,
    Changes,
    FleetIndex,
    Rides,
    RoundLeases,
    Unicorns,
    WaitingRides,
)
from service.model.errors import Unavailable
from service.stores.dynamodb.schema import create_tables
from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.dynamodb import DynamoStores, LostAnswers, fresh_settings
from tests.support.fakes import FakeAssignments, FakeRides, FakeUnicorns
from tests.support.fakes_redis import FakeChanges, FakeFleetIndex, FakeWaitingRides

if TYPE_CHECKING:
    import redis
    from mypy_boto3_dynamodb import DynamoDBClient


LEASE_SECONDS = 2.0
STATE_CHECK_SECONDS = 30.0
"""So old at most does the index let the state of a unicorn become that sends positions."""


class Stores(Protocol):
    """What the machine needs of its stores, besides their being stores."""

    rides: Rides
    unicorns: Unicorns
    assignments: Assignments
    fleet: FleetIndex
    waiting: WaitingRides
    leases: RoundLeases
    changes: Changes

    def lose_answer(self, write: Callable[[], object]) -> object:
        """Make the write and lose its first answer; a store that tries again returns the next."""

    def lose_redis(self) -> None: ...

    def pass_time(self, seconds: float) -> None:
        """What lives in Redis for a while is that much older."""

    def waiting_ids(self, zone: str) -> set[str]: ...


class FakeStores:
    """Everything in memory."""

    def __init__(self) -> None:
        self.rides = FakeRides()
        self.unicorns = FakeUnicorns()
        self.assignments = FakeAssignments(self.rides, self.unicorns)
        self.fleet = FakeFleetIndex()
        self.waiting = self.leases = FakeWaitingRides()
        self.changes = FakeChanges()
        self._states_age = 0.0

    def lose_answer(self, write: Callable[[], object]) -> object:
        write()
        raise Unavailable("the answer was lost")

    def lose_redis(self) -> None:
        self.fleet.__init__()  # type: ignore[misc]
        self.waiting.__init__()  # type: ignore[misc]

    def pass_time(self, seconds: float) -> None:
        for lifetime, kept in (
            (1, self.waiting.marks),
            (15, self.waiting.plans),
            (15, self.waiting.resume),
        ):
            if seconds >= lifetime:
                kept.clear()
        if seconds >= LEASE_SECONDS:
            for zone in self.waiting.leased:
                self.waiting.expire(zone)
        self._states_age += seconds
        if self._states_age >= STATE_CHECK_SECONDS:
            self._states_age = 0.0
            self.fleet._states.clear()

    def waiting_ids(self, zone: str) -> set[str]:
        return set(self.waiting.rides.get(zone, {}))


@dataclass(frozen=True)
class RealServers:
    """Clients that all examples share: connections are dear, tables and keys are cheap."""

    dynamodb: DynamoDBClient
    redis: redis.Redis


class RealStores(DynamoStores):
    """New tables on the embedded AWS, and an emptied Redis."""

    def __init__(self, servers: RealServers) -> None:
        self._servers = servers
        settings = fresh_settings()
        create_tables(servers.dynamodb, settings)
        servers.redis.flushdb()
        super().__init__(servers.dynamodb, settings)
        link = RedisLink(servers.redis)
        self.fleet = RedisFleetIndex(link, timedelta(seconds=60))
        self.waiting = self.leases = RedisWaitingRides(link)
        self.changes = FakeChanges()

    def lose_answer(self, write: Callable[[], object]) -> object:
        with LostAnswers(self._servers.dynamodb, 1):
            return write()

    def lose_redis(self) -> None:
        self._servers.redis.flushdb()

    def pass_time(self, seconds: float) -> None:
        client, passed = self._servers.redis, int(seconds * 1000)
        for name in client.scan_iter(f"{keys.PREFIX}:*", count=1000):
            left = client.pttl(name)
            if left > passed:
                client.pexpire(name, left - passed)
            elif left >= 0:
                client.delete(name)

    def waiting_ids(self, zone: str) -> set[str]:
        return set(self._servers.redis.hkeys(keys.waiting(zone)))
