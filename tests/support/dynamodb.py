"""DynamoDB stores for tests: the service's own client and tables on the embedded AWS."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from botocore.errorfactory import ClientExceptionsFactory
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from service.settings import Settings
from service.stores.dynamodb import due, items
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.unicorns import DynamoUnicorns
from tests.support.infrastructure import MiniStack

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_dynamodb import DynamoDBClient


def fresh_settings() -> Settings:
    """Settings that name tables nobody else uses."""
    mark = uuid.uuid4().hex[:12]
    return Settings(
        aws_region=MiniStack.region,
        redis_url="redis://127.0.0.1:1/0",
        rides_table=f"Rides-{mark}",
        unicorns_table=f"Unicorns-{mark}",
        operations_table=f"Operations-{mark}",
    )


class DynamoStores:
    """The three ports over the tables of these settings; `options`: those of each store."""

    def __init__(self, client: DynamoDBClient, tables: Settings, **options: float) -> None:
        rides, unicorns = tables.rides_table, tables.unicorns_table
        self.rides = DynamoRides(client, rides, **options)
        self.unicorns = DynamoUnicorns(client, unicorns, **options)
        self.assignments = DynamoAssignments(client, rides, unicorns, **options)


@contextmanager
def service_client(ministack: MiniStack) -> Iterator[DynamoDBClient]:
    """The client as the service makes it, found by the environment alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ministack.environment.items():
            patch.setenv(name, value)
        client = dynamodb_client(fresh_settings())
    yield client
    client.close()


@contextmanager
def two_shards() -> Iterator[None]:
    """The index of open rides has two shards instead of eight, each of which costs a sweep calls.

    To a ride all others are one other shard.
    """
    few = items.SHARDS[:2]
    with (
        patch.object(items, "SHARDS", few),
        patch.object(due, "SHARDS", few),
        patch.object(due.DueRides, "shards", few),
    ):
        yield


def new_classes_of_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each use of `client.exceptions` has new classes, as in threads that need them first."""

    def exceptions(client: Any) -> Any:
        return ClientExceptionsFactory().create_client_exceptions(client.meta.service_model)

    monkeypatch.setattr(BaseClient, "exceptions", property(exceptions))


class LostAnswers:
    """Lets the next `count` requests reach DynamoDB and loses what it answers.

    `operation`: the requests' only kind. `meanwhile` happens before the last loss is noticed.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        count: int,
        meanwhile: Callable[[], object] = lambda: None,
        *,
        operation: str = "*",
    ) -> None:
        self._meanwhile = meanwhile
        self._event = f"before-send.dynamodb.{operation}"
        self._events = client.meta.events
        self._network = URLLib3Session()
        self.left = count

    def __enter__(self) -> LostAnswers:
        self._events.register_first(self._event, self._lose)
        return self

    def __exit__(self, *_: object) -> None:
        self._events.unregister(self._event, self._lose)
        self._network.close()

    def _lose(self, request: AWSPreparedRequest, **_: object) -> None:
        if self.left:
            self.left -= 1
            assert self._network.send(request).status_code < 500
            if not self.left:
                self._meanwhile()
            raise ConnectionClosedError(endpoint_url=request.url)
