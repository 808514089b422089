"""The same crashes one level down: at each command to a real Redis and request to DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.httpsession import URLLib3Session

from service.bootstrap import RedisStores
from service.core.ports import RoundQueue
from service.settings import Settings
from service.stores.dynamodb.items import ride_from, unicorn_from
from service.stores.redis import keys
from service.stores.redis.link import Client
from tests.support.crashes.points import Built, Fault, Steps, watched
from tests.support.crashes.world import World
from tests.support.dynamodb import DynamoStores
from tests.support.service import Service

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.model import Ride, Unicorn

READS = {"GetItem", "Query", "BatchGetItem", "GEOSEARCH", "HMGET", "HGETALL", "HGET", "GET"}
"""Nothing is different after one of these."""


@dataclass
class Wire(Steps):
    """Everything that goes over the wire is a step while a process is watched."""

    is_watched: bool = False

    def take(self, name: str, effect: Callable[[], Built]) -> Built:
        return super().take(name, effect) if self.is_watched else effect()

    @contextmanager
    def watching(self, fault: Fault | None) -> Iterator[None]:
        """The life of one process."""
        self.is_watched, self.fault, self._ended = True, fault, False
        self.taken.clear()
        try:
            yield
        finally:
            self.is_watched = False

    def intercept_dynamodb(self, client: DynamoDBClient) -> None:
        network = URLLib3Session()

        def send(request: AWSPreparedRequest, **_: object) -> Any:
            operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
            return self.take(operation, lambda: network.send(request))

        client.meta.events.register_first("before-send.dynamodb", send)

    def intercept_redis(self, client: Client) -> None:
        execute, pipeline, exchange = client.execute_command, client.pipeline, client.exchange

        def watched_exchange(commands: Sequence[Sequence[Any]]) -> list[Any]:
            names = " ".join(sorted({str(command[0]) for command in commands}))
            return self.take(names, lambda: exchange(commands))

        def watched_pipeline(*args: Any, **options: Any) -> Any:
            pipe = pipeline(*args, **options)
            execute_all = pipe.execute
            pipe.execute = lambda: self.take(_names(pipe), execute_all)
            return pipe

        client.pipeline = watched_pipeline  # type: ignore[method-assign]
        client.exchange = watched_exchange  # type: ignore[method-assign]
        client.execute_command = lambda *args, **options: self.take(  # type: ignore[method-assign]
            str(args[0]), lambda: execute(*args, **options)
        )


def _names(pipe: Any) -> str:
    return " ".join(sorted({str(command[0][0]) for command in pipe.command_stack}))


def service_on(
    client: DynamoDBClient, stores: RedisStores, settings: Settings, wire: Wire
) -> Service:
    """The use cases on real stores, with a clock the test moves."""
    service = Service(
        **vars(DynamoStores(client, settings)),
        fleet=stores.fleet,
        waiting=stores.waiting,
        changes=stores.changes,
    )
    service.ports = replace(service.ports, rounds=watched(service.rounds, RoundQueue, wire))
    service.dispatch_with()
    return service


@dataclass
class RealWorld(World):
    """A world whose memory is in real stores."""

    settings: Settings | None = None
    client: Any = None
    redis: Any = None
    wire: Wire = field(default_factory=Wire)

    def rides(self) -> list[Ride]:
        return [ride_from(item) for item in self._items("rides_table")]

    def unicorns(self) -> list[Unicorn]:
        return [unicorn_from(item) for item in self._items("unicorns_table") if "name" in item]

    def known_as_waiting(self) -> set[str]:
        hashes = self.redis.scan_iter(keys.waiting("*"))
        return {ride_id for name in hashes for ride_id in self.redis.hkeys(name)}

    def forgets_states(self) -> None:
        for name in self.redis.scan_iter(keys.unicorn("*")):
            self.redis.hdel(name, "state")

    def settles(self) -> None:
        """In longer steps than in memory: a sweep costs a read of every shard here."""
        self.goes_on(8, every=4)
        self.forgets_states()
        self.goes_on(4, every=4)
        self.check_served({unicorn.unicorn_id for unicorn in self.unicorns()})

    def is_cleared(self) -> None:
        """As new."""
        self.redis.flushall()
        for table, key in (("rides_table", "ride_id"), ("unicorns_table", "unicorn_id")):
            for item in self._items(table):
                name = getattr(self.settings, table)
                self.client.delete_item(TableName=name, Key={key: item[key]})

    def _is_known(self, unicorn: Unicorn) -> bool:
        return True

    def _expire(self) -> None:
        for name in (keys.mark, keys.lease, keys.sweep_lock):
            self._delete(name("*"))

    def _delete(self, pattern: str) -> None:
        for name in self.redis.scan_iter(pattern):
            self.redis.delete(name)

    def _items(self, table: str) -> list[Any]:
        name = getattr(self.settings, table)
        return list(self.client.scan(TableName=name, ConsistentRead=True)["Items"])
