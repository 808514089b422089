"""The DynamoDB side of the ports, in memory and on the embedded AWS, and a link to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import pytest

from service.core.ports import Assignments, Rides, Unicorns
from service.settings import Settings
from service.stores.dynamodb.schema import create_tables
from service.stores.redis.link import RedisLink, connect
from tests.support.dynamodb import DynamoStores, fresh_settings, service_client
from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.ride_stores import FakeStores

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Stores(Protocol):
    """The three ports over the same data."""

    rides: Rides
    unicorns: Unicorns
    assignments: Assignments


@pytest.fixture(scope="session")
def dynamodb(ministack: MiniStack) -> Iterator[DynamoDBClient]:
    with service_client(ministack) as client:
        yield client


@pytest.fixture(scope="session")
def operator(ministack: MiniStack) -> Iterator[DynamoDBClient]:
    """A client with more patience than the service's: creating tables takes its time."""
    with closing(ministack.dynamodb_client()) as client:
        yield client


@pytest.fixture
def tables(operator: DynamoDBClient) -> Settings:
    """Settings whose tables exist and are empty."""
    settings = fresh_settings()
    create_tables(operator, settings)
    return settings


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    """The service's connections to the shared Redis."""
    with connect(redis_server.url, timeout_seconds=2) as client:
        yield RedisLink(client)


@pytest.fixture
def dynamo_stores(dynamodb: DynamoDBClient, tables: Settings) -> Stores:
    return DynamoStores(dynamodb, tables)


@pytest.fixture(params=["fake", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "dynamodb":
        real: Stores = request.getfixturevalue("dynamo_stores")
        return real
    return FakeStores()


@pytest.fixture
def rides(stores: Stores) -> Rides:
    return stores.rides


@pytest.fixture
def unicorns(stores: Stores) -> Unicorns:
    return stores.unicorns
