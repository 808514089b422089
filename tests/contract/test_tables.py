"""Tables are created once, and items of the operations table expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.settings import Settings
from service.stores.dynamodb.schema import create_tables
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
