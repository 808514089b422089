"""A table of the previous release is taken over while processes of both releases run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from service.model import CanceledBy, Ride, RideStatus
from service.settings import Settings
from service.stores.dynamodb import schema
from service.stores.dynamodb.inspection import faults_of_tables
from service.stores.dynamodb.items import shard_of
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.schema import (
    Index,
    Table,
    create_tables,
    definition,
    drop_former_indexes,
)
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn
from tests.support.dynamodb import fresh_settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LAST_RELEASE = Table(
    "rides_table",
    "ride_id",
    (
        Index("by_rider", "rider_id", "requested_at"),
        Index("by_day", "day_shard", "requested_at", "KEYS_ONLY"),
        Index("due", "shard", "due_at"),
    ),
)
"""The table as the release before this one made it."""

WAITING: dict[str, Any] = {
    "ride_id": {"S": "old-waiting"},
    "rider_id": {"S": "rider-1"},
    "pickup": {"M": {"latitude": {"N": "40.7033"}, "longitude": {"N": "-74.017"}}},
    "zone": {"S": "832a10fffffffff"},
    "requested_at": {"S": "2026-11-23T02:46:28.123Z"},
    "deadline_at": {"S": "2026-11-23T02:49:28.123Z"},
    "due_at": {"S": "2026-11-23T02:46:30.123Z"},
    "status": {"S": "requested"},
    "version": {"N": "1"},
    "fresh_deadlines": {"N": "0"},
    "crashed_rounds": {"N": "0"},
    "failed_looks": {"N": "0"},
    "request_id": {"S": "request-1"},
    "fingerprint": {"S": "fingerprint-1"},
    "day_shard": {"S": f"2026-11-23#{shard_of('old-waiting')}"},
    "shard": {"S": shard_of("old-waiting")},
    "first_write_id": {"S": "4f1f3f1e-0000-4000-8000-000000000000"},
    "last_write_id": {"S": "4f1f3f1e-0000-4000-8000-000000000000"},
}
"""A row as the release before this one wrote it."""

MATCHED: dict[str, Any] = WAITING | {
    "ride_id": {"S": "old-matched"},
    "status": {"S": "matched"},
    "version": {"N": "2"},
    "matched_at": {"S": "2026-11-23T02:46:29.123Z"},
    "due_at": {"S": "2026-11-23T02:46:44.123Z"},
    "unicorn_id": {"S": "u1"},
    "unicorn": {
        "M": {
            "unicorn_id": {"S": "u1"},
            "name": {"S": "Shadowfax"},
            "color": {"S": "White"},
            "gender": {"S": "Male"},
            "location": {"M": {"latitude": {"N": "40.71"}, "longitude": {"N": "-74.0"}}},
        }
    },
    "shard": {"S": shard_of("old-matched")},
    "day_shard": {"S": f"2026-11-23#{shard_of('old-matched')}"},
}


@pytest.fixture
def taken_over(
    operator: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> tuple[Settings, DynamoRides]:
    """A table that the previous release filled, and this release's rides on it."""
    monkeypatch.setattr(schema, "LOOK_EVERY_SECONDS", 0.05)
    settings = fresh_settings()
    operator.create_table(**definition(settings.rides_table, LAST_RELEASE))
    for item in (WAITING, MATCHED):
        operator.put_item(TableName=settings.rides_table, Item=item)
    create_tables(operator, settings)
    return settings, DynamoRides(operator, settings.rides_table)


def indexes_of(client: DynamoDBClient, settings: Settings) -> set[str]:
    table = client.describe_table(TableName=settings.rides_table)["Table"]
    return {index["IndexName"] for index in table["GlobalSecondaryIndexes"]}


def read_by_the_last_release(
    client: DynamoDBClient, settings: Settings, index: str, key: str, value: str
) -> dict[str, Any]:
    """Whole items of an index by ride id."""
    answer = client.query(
        TableName=settings.rides_table,
        IndexName=index,
        KeyConditionExpression="#key = :value",
        ExpressionAttributeNames={"#key": key},
        ExpressionAttributeValues={":value": {"S": value}},
    )
    return {item["ride_id"]["S"]: item for item in answer["Items"]}


def test_this_release_finds_what_the_last_one_wrote(
    taken_over: tuple[Settings, DynamoRides],
) -> None:
    _, rides = taken_over
    listed = rides.list_of_rider("rider-1", status=None, limit=9, start=None).items
    assert {ride.ride_id for ride in listed} == {"old-waiting", "old-matched"}
    (matched,) = rides.list_of_unicorn("u1", status=None, limit=9, start=None).items
    assert (matched.ride_id, matched.status) == ("old-matched", RideStatus.MATCHED)
    assert set(rides.assigned(shard_of("old-matched"), NOW)) == {("old-matched", "u1")}
    due = rides.due(NOW + timedelta(seconds=5), 9)
    assert [ride.ride_id for ride in due] == ["old-waiting"]


def test_this_release_continues_the_rides_of_the_last_one(
    taken_over: tuple[Settings, DynamoRides],
) -> None:
    _, rides = taken_over
    (waiting,) = rides.due(NOW + timedelta(seconds=5), 9)
    matched, _ = a_matched_pair(waiting, a_usable_unicorn(unicorn_id="u2"))
    rides.save(waiting, matched)
    rides.save(matched, matched.canceled(CanceledBy.RIDER, None, NOW))
    (canceled,) = rides.list_of_unicorn("u2", status=None, limit=9, start=None).items
    assert canceled.status is RideStatus.CANCELED
    assert rides.due(NOW + timedelta(seconds=5), 9) == []


def test_the_previous_release_finds_whole_rides_of_this_one_meanwhile(
    taken_over: tuple[Settings, DynamoRides], operator: DynamoDBClient
) -> None:
    settings, rides = taken_over
    new = a_ride(ride_id="new", rider_id="rider-2")
    rides.create(new)
    rides.postpone(new, NOW + timedelta(seconds=4))
    later = replace(new, due_at=NOW + timedelta(seconds=4))
    kept = {"by_rider": ("rider_id", "rider-2"), "due": ("shard", shard_of("new"))}
    for index, (key, value) in kept.items():
        found = read_by_the_last_release(operator, settings, index, key, value)
        assert found["new"]["due_at"] == {"S": "2026-11-23T02:46:32.123Z"}
        assert found["new"]["pickup"]
    assert rides.get("new") == later


def test_the_former_indexes_stay_until_they_are_dropped(
    taken_over: tuple[Settings, DynamoRides], operator: DynamoDBClient
) -> None:
    settings, rides = taken_over
    assert faults_of_tables(operator, settings) == []
    assert {"by_rider", "due"} <= indexes_of(operator, settings)
    drop_former_indexes(operator, settings)
    assert indexes_of(operator, settings) == {index.name for index in schema.TABLES[0].indexes}
    drop_former_indexes(operator, settings)
    found: Ride | None = rides.get("old-matched")
    assert found
    assert rides.list_of_rider("rider-1", status=None, limit=9, start=None).items
