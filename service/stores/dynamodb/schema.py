"""The tables as data, and their creation where no infrastructure code creates them.

`Rides` has four indexes. `by_rider_keys` lists the rides of a rider, `by_unicorn` those of a
unicorn; `by_day` lists all rides of a day, spread over shards. `open_rides` holds only open rides
(it is sparse), and the sweep reads it. DynamoDB charges a write for every index entry that a change
of a ride alters. So an index holds no attribute that changes more often than its key, and rides are
read by their ids. No index has the status as its key, because that would make a few hot partitions.
`Operations` has one index, `dead_letters`, named after its first use. It is sparse and lists dead
letters and audit entries, newest first; `set_aside_at` is the time of an item of either kind.

An index cannot change its projection, so a new index replaces it. The former index stays until
`drop_former_indexes`, because processes of the previous release read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import ClientError

from service.model.errors import Unavailable
from service.settings import Settings
from service.stores.credentials import ignoring
from service.stores.dynamodb.calls import PATIENCE_SECONDS, Answer, patiently

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        CreateTableInputTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
        ProjectionTypeDef,
        TableDescriptionTypeDef,
    )

LOOK_EVERY_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index; all keys are strings."""

    name: str
    partition: str
    sort: str
    projection: Literal["ALL", "KEYS_ONLY", "INCLUDE"] = "ALL"
    attributes: tuple[str, ...] = ()
    """The attributes besides the keys, if the projection is `INCLUDE`."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table named by a setting. `expires_at`: the attribute by which items expire."""

    setting: str
    key: str
    indexes: tuple[Index, ...] = ()
    expires_at: str | None = None
    former_indexes: tuple[str, ...] = ()
    """The names of indexes that only the previous release reads."""


TABLES: Final = (
    Table(
        "rides_table",
        "ride_id",
        (
            Index("by_unicorn", "unicorn_id", "requested_at", "KEYS_ONLY"),
            Index("by_rider_keys", "rider_id", "requested_at", "KEYS_ONLY"),
            Index("by_day", "day_shard", "requested_at", "KEYS_ONLY"),
            # Both attributes change only together with `due_at`, so they cost no further write.
            Index("open_rides", "shard", "due_at", "INCLUDE", ("unicorn_id", "deadline_at")),
        ),
        expires_at="expires_at",
        former_indexes=("by_rider", "due"),
    ),
    Table("unicorns_table", "unicorn_id"),
    Table(
        "operations_table",
        "operation_id",
        (Index("dead_letters", "listed_as", "set_aside_at"),),
        expires_at="expires_at",
    ),
)


def named_tables(settings: Settings) -> list[tuple[str, Table]]:
    """The tables, each with the name that the settings give it."""
    return [(str(getattr(settings, table.setting)), table) for table in TABLES]


def create_tables(client: DynamoDBClient, settings: Settings) -> None:
    """Create missing tables and indexes, turn expiry on, and wait until all can be used.

    DynamoDB adds one index to a table at a time, and filling it takes hours on a large table. If
    the call is interrupted, the next one continues. Raises `Unavailable`, also if a table or
    an index is not ready within `LONGEST_WAIT_SECONDS`.
    """
    named = named_tables(settings)
    for name, table in named:
        _create(client, definition(name, table))
    for name, table in named:
        _add_indexes(client, name, table)
        if table.expires_at:
            _let_expire(client, name, table.expires_at)


def drop_former_indexes(client: DynamoDBClient, settings: Settings) -> None:
    """Delete the indexes that only the previous release reads, one after the other.

    Call it only when no process of that release is running. Raises `Unavailable`.
    """
    for name, table in named_tables(settings):
        while former := _indexes_of(_settled(client, name)).intersection(table.former_indexes):
            _call(
                client.update_table,
                TableName=name,
                GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": min(former)}}],
            )
            time.sleep(LOOK_EVERY_SECONDS)


def _call(operation: Callable[..., Answer], **request: Any) -> Answer:
    return patiently(partial(operation, **request), PATIENCE_SECONDS)


def _missing(described: TableDescriptionTypeDef, table: Table) -> list[Index]:
    return [index for index in table.indexes if index.name not in _indexes_of(described)]


def _indexes_of(described: TableDescriptionTypeDef) -> set[str]:
    return {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", ())}


def _add_indexes(client: DynamoDBClient, name: str, table: Table) -> None:
    """Add the indexes that a table of an earlier release lacks, one after the other."""
    while missing := _missing(_settled(client, name, is_new=True), table):
        # If another process has just begun to add an index, the table is in use.
        with ignoring("ResourceInUseException", "LimitExceededException"):
            _call(
                client.update_table,
                TableName=name,
                AttributeDefinitions=definition(name, table)["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": _index(missing[0])}],
            )
        time.sleep(LOOK_EVERY_SECONDS)


def _settled(client: DynamoDBClient, name: str, *, is_new: bool = False) -> TableDescriptionTypeDef:
    """Wait until the table and all its indexes are active; returns its description.

    `is_new`: for a moment DynamoDB may not find the table (AWS, "DescribeTable").
    """
    end = time.monotonic() + LONGEST_WAIT_SECONDS
    unknown = ("ResourceNotFoundException",) if is_new else ()

    def describe() -> TableDescriptionTypeDef:
        with ignoring(*unknown):
            return client.describe_table(TableName=name)["Table"]
        return {}

    while time.monotonic() < end:
        described = _call(describe)
        states = [
            # An emulator may leave out the status of an index that was made with its table.
            index.get("IndexStatus", "ACTIVE")
            for index in described.get("GlobalSecondaryIndexes", ())
        ]
        if {described.get("TableStatus"), *states} == {"ACTIVE"}:
            return described
        time.sleep(LOOK_EVERY_SECONDS)
    raise Unavailable(f"{name} is not ready after {LONGEST_WAIT_SECONDS:g} s")


def definition(name: str, table: Table) -> CreateTableInputTypeDef:
    """The table as parameters of CreateTable, billed by request."""
    keys = {table.key}.union(*({index.partition, index.sort} for index in table.indexes))
    created: CreateTableInputTypeDef = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _schema(table.key),
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": "S"} for key in sorted(keys)
        ],
    }
    if table.indexes:
        created["GlobalSecondaryIndexes"] = [_index(index) for index in table.indexes]
    return created


def _index(index: Index) -> GlobalSecondaryIndexTypeDef:
    projection: ProjectionTypeDef = {"ProjectionType": index.projection}
    if index.attributes:
        projection["NonKeyAttributes"] = list(index.attributes)
    return {
        "IndexName": index.name,
        "KeySchema": _schema(index.partition, index.sort),
        "Projection": projection,
    }


def _schema(partition: str, sort: str | None = None) -> list[KeySchemaElementTypeDef]:
    schema: list[KeySchemaElementTypeDef] = [{"AttributeName": partition, "KeyType": "HASH"}]
    if sort:
        schema.append({"AttributeName": sort, "KeyType": "RANGE"})
    return schema


def _create(client: DynamoDBClient, table: CreateTableInputTypeDef) -> None:
    # "In use" means that the table exists or is being created.
    with ignoring("ResourceInUseException"):
        _call(client.create_table, **table)


def _let_expire(client: DynamoDBClient, name: str, attribute: str) -> None:
    if _expires(client, name):
        return
    try:
        _call(
            client.update_time_to_live,
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute},
        )
    except ClientError:
        # Refused if another process has just done the same.
        if not _expires(client, name):
            raise


def _expires(client: DynamoDBClient, name: str) -> bool:
    description = _call(client.describe_time_to_live, TableName=name)["TimeToLiveDescription"]
    return description.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
