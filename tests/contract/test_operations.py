"""Revocations in DynamoDB, and the tables themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from service.settings import Settings
from service.stores.dynamodb.operations import DynamoRevocations
from service.stores.dynamodb.schema import create_tables
from tests.support.builders import NOW
from tests.support.racing import race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = NOW + timedelta(hours=24)


@pytest.fixture
def revocations(dynamodb: DynamoDBClient, tables: Settings) -> DynamoRevocations:
    return DynamoRevocations(dynamodb, tables.operations_table)


def test_only_what_is_revoked_is_found(revocations: DynamoRevocations) -> None:
    revocations.put("jti", "token-1", revoked_at=NOW, expires_at=LATER)
    revocations.put("sub", "rider-9", revoked_at=NOW, expires_at=LATER)
    marks = {"jti": "token-1", "origin_jti": "token-1", "sub": "rider-1"}
    assert revocations.lookup(marks, NOW) == {"jti": NOW}
    assert revocations.lookup({}, NOW) == {}


def test_every_mark_of_a_token_counts(revocations: DynamoRevocations) -> None:
    marks = {"jti": "token-1", "origin_jti": "login-1", "sub": "rider-1"}
    for kind, value in marks.items():
        revocations.put(kind, value, revoked_at=NOW, expires_at=LATER)
    assert revocations.lookup(marks, NOW) == dict.fromkeys(marks, NOW)


@pytest.mark.parametrize("order", [(0, 5), (5, 0)], ids=["then later", "then earlier"])
def test_the_latest_revocation_holds(
    revocations: DynamoRevocations, order: tuple[int, int]
) -> None:
    for seconds in order:
        at = NOW + timedelta(seconds=seconds)
        revocations.put("sub", "rider-1", revoked_at=at, expires_at=LATER)
    assert revocations.lookup({"sub": "rider-1"}, NOW) == {"sub": NOW + timedelta(seconds=5)}


def test_a_revocation_ends_before_its_item_is_deleted(revocations: DynamoRevocations) -> None:
    revocations.put("jti", "token-1", revoked_at=NOW, expires_at=LATER)
    assert revocations.lookup({"jti": "token-1"}, LATER - timedelta(seconds=1)) == {"jti": NOW}
    assert revocations.lookup({"jti": "token-1"}, LATER + timedelta(seconds=1)) == {}


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
        "by_rider": ["rider_id", "requested_at"],
        "by_day": ["day_shard", "requested_at"],
        "due": ["shard", "due_at"],
    }


def test_operations_expire_by_themselves(dynamodb: DynamoDBClient, tables: Settings) -> None:
    answer = dynamodb.describe_time_to_live(TableName=tables.operations_table)
    assert answer["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires_at",
    }
