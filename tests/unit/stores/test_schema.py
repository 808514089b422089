"""Indexes are added one after the other: DynamoDB refuses a second one while one is being made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from service.model.errors import Unavailable
from service.stores.dynamodb import schema
from service.stores.dynamodb.schema import TABLES, create_tables, definition
from tests.support.dynamodb import fresh_settings, new_classes_of_errors

SETTINGS = fresh_settings()
RIDES = SETTINGS.rides_table
INDEXES = [index.name for index in TABLES[0].indexes]
NAMES = (RIDES, SETTINGS.unicorns_table, SETTINGS.operations_table)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    new_classes_of_errors(monkeypatch)
    return boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture
def stub(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setattr(schema, "LOOK_EVERY_SECONDS", 0.0)
    with Stubber(client) as stub:
        for _ in NAMES:
            stub.add_client_error("create_table", "ResourceInUseException")
        yield stub


def describe(stub: Stubber, name: str, table: str = "ACTIVE", **indexes: str) -> None:
    described = [{"IndexName": index, "IndexStatus": status} for index, status in indexes.items()]
    stub.add_response(
        "describe_table",
        {"Table": {"TableStatus": table, "GlobalSecondaryIndexes": described}},
        {"TableName": name},
    )


def expect_index(stub: Stubber, name: str) -> None:
    (wanted,) = (
        index
        for index in definition(RIDES, TABLES[0])["GlobalSecondaryIndexes"]
        if index["IndexName"] == name
    )
    stub.add_response(
        "update_table",
        {},
        {
            "TableName": RIDES,
            "AttributeDefinitions": ANY,
            "GlobalSecondaryIndexUpdates": [{"Create": wanted}],
        },
    )


def finish(stub: Stubber) -> None:
    """The other tables are as they should be, and everything expires."""
    expires = {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED"}}
    describe(stub, RIDES, **dict.fromkeys(INDEXES, "ACTIVE"))
    stub.add_response("describe_time_to_live", expires)
    describe(stub, SETTINGS.unicorns_table)
    describe(stub, SETTINGS.operations_table, dead_letters="ACTIVE")
    stub.add_response("describe_time_to_live", expires)


def test_each_index_waits_until_the_one_before_can_be_used(client: Any, stub: Stubber) -> None:
    first, second, third, last = INDEXES
    ready = {first: "ACTIVE", second: "ACTIVE"}
    describe(stub, RIDES, **ready)
    expect_index(stub, third)
    describe(stub, RIDES, "UPDATING", **ready, **{third: "CREATING"})
    describe(stub, RIDES, "ACTIVE", **ready, **{third: "CREATING"})
    ready[third] = "ACTIVE"
    describe(stub, RIDES, "ACTIVE", **ready)
    expect_index(stub, last)
    describe(stub, RIDES, "ACTIVE", **ready, **{last: "CREATING"})
    finish(stub)
    create_tables(client, SETTINGS)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["ResourceInUseException", "LimitExceededException"])
def test_an_index_that_another_process_adds_is_waited_for(
    client: Any, stub: Stubber, code: str
) -> None:
    *others, last = INDEXES
    ready = dict.fromkeys(others, "ACTIVE")
    describe(stub, RIDES, **ready)
    stub.add_client_error("update_table", code)
    describe(stub, RIDES, "UPDATING", **ready, **{last: "CREATING"})
    finish(stub)
    create_tables(client, SETTINGS)
    stub.assert_no_pending_responses()


def test_a_table_that_never_gets_ready_is_named(
    client: Any, stub: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LONGEST_WAIT_SECONDS", 0.0)
    with pytest.raises(Unavailable, match=RIDES):
        create_tables(client, SETTINGS)
