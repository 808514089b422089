"""Tables are created once, and items of the operations table expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from service.model.errors import Unavailable
from service.settings import Settings
from service.stores.dynamodb import schema
from service.stores.dynamodb.inspection import faults_of_tables
from service.stores.dynamodb.schema import create_tables, drop_former_indexes
from tests.support.dynamodb import fresh_settings
from tests.support.racing import race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_tables_are_created_once_however_often_asked_for(
    dynamodb: DynamoDBClient, tables: Settings
) -> None:
    race(lambda _: create_tables(dynamodb, tables), range(4))
    table = dynamodb.describe_table(TableName=tables.rides_table)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    keys = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert keys == {
        "by_unicorn": ["unicorn_id", "requested_at"],
        "by_rider_keys": ["rider_id", "requested_at"],
        "by_day": ["day_shard", "requested_at"],
        "open_rides": ["shard", "due_at"],
    }


def test_items_of_the_operations_table_expire(dynamodb: DynamoDBClient, tables: Settings) -> None:
    answer = dynamodb.describe_time_to_live(TableName=tables.operations_table)
    assert answer["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires_at",
    }


class _Slow:
    """Answers DescribeTable in the place of DynamoDB as long as it has something to say."""

    def __init__(self, client: DynamoDBClient, says: list[str]) -> None:
        self._describe_table, self._says = client.describe_table, says

    def __call__(self, **request: str) -> Any:
        said = self._says.pop(0) if self._says else ""
        if said.endswith("Exception"):
            answer = {"Error": {"Code": said}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "DescribeTable")  # type: ignore[arg-type]
        described = self._describe_table(**request)
        return {"Table": described["Table"] | {"TableStatus": said}} if said else described


@pytest.mark.parametrize(
    "says",
    [
        ["ResourceNotFoundException", "ResourceNotFoundException", "CREATING"],
        [*["CREATING"] * 30, "ThrottlingException"],
    ],
    ids=["DynamoDB does not know a new table at once", "busy after a long wait"],
)
def test_tables_are_created_however_slow_dynamodb_is(
    dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, says: list[str]
) -> None:
    monkeypatch.setattr(schema, "LOOK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(schema, "PATIENCE_SECONDS", 0.2)
    settings = fresh_settings()
    slow = _Slow(dynamodb, says)
    with patch.object(dynamodb, "describe_table", slow):
        create_tables(dynamodb, settings)
    assert not says
    assert faults_of_tables(dynamodb, settings) == []


def test_indexes_of_tables_that_do_not_exist_cannot_be_dropped(dynamodb: DynamoDBClient) -> None:
    with pytest.raises(Unavailable, match="ResourceNotFoundException"):
        drop_former_indexes(dynamodb, fresh_settings())


def test_a_role_that_may_not_read_the_expiry_hears_of_the_other_faults(
    dynamodb: DynamoDBClient, tables: Settings
) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeTimeToLive")
    wanted = tables.model_copy(update={"unicorns_table": tables.rides_table})
    with patch.object(dynamodb, "describe_time_to_live", side_effect=denied):
        faults = faults_of_tables(dynamodb, wanted)
    may_not = "this role may not describe it (DescribeTable, DescribeTimeToLive)"
    assert faults == [
        f"{tables.rides_table}: {may_not}",
        f"{tables.rides_table}: its key is ride_id, and this release needs unicorn_id:"
        " it is another table",
        f"{tables.operations_table}: {may_not}",
    ]
