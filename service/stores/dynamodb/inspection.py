"""Compares the tables of an account with the tables that this release needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from service.settings import Settings
from service.stores.credentials import code_of
from service.stores.dynamodb.calls import PATIENCE_SECONDS, patiently
from service.stores.dynamodb.schema import Index, Table, named_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def faults_of_tables(client: DynamoDBClient, settings: Settings) -> list[str]:
    """The faults of the tables (missing or different parts), a sentence each; empty if none.

    At most two remote calls for each table. Raises `Unavailable`.
    """
    named = named_tables(settings)
    return patiently(
        lambda: [fault for name, table in named for fault in _faults_of(client, name, table)],
        PATIENCE_SECONDS,
    )


def notes_on_tables(client: DynamoDBClient, settings: Settings) -> list[str]:
    """A sentence for each index that this release does not use. Call it for existing tables only.

    One remote call for each table. Raises `Unavailable`.
    """
    named = named_tables(settings)
    return patiently(
        lambda: [note for name, table in named for note in _notes_on(client, name, table)],
        PATIENCE_SECONDS,
    )


def _notes_on(client: DynamoDBClient, name: str, table: Table) -> Iterator[str]:
    used = {index.name for index in table.indexes}
    for found in sorted(_indexes_of(_described(client, name)).keys() - used):
        last = " (the previous release reads it)" if found in table.former_indexes else ""
        yield f"{name}: index {found} is not used by this release{last}"


def _faults_of(client: DynamoDBClient, name: str, table: Table) -> list[str]:
    faults: list[str] = []
    try:
        described = _described(client, name)
        faults += [*_key_faults(described, table), *_index_faults(described, table)]
        if described.get("TableStatus", "ACTIVE") not in {"ACTIVE", "UPDATING"}:
            faults.append(f"the table is {described['TableStatus']}")
        if table.expires_at:
            faults += _expiry_faults(client, name, table.expires_at)
    except ClientError as error:
        if "AccessDenied" in code_of(error):
            faults.append("this role may not describe it (DescribeTable, DescribeTimeToLive)")
        elif code_of(error) == "ResourceNotFoundException":
            faults.append("no such table")
        else:
            raise
    return [f"{name}: {fault}" for fault in faults]


def _described(client: DynamoDBClient, name: str) -> Mapping[str, Any]:
    return client.describe_table(TableName=name)["Table"]


def _keys_of(schema: Sequence[Mapping[str, str]]) -> str:
    """The names of the key's attributes, the partition key first."""
    in_order = sorted(schema, key=lambda part: part["KeyType"])
    return ", ".join(part["AttributeName"] for part in in_order)


def _key_faults(described: Mapping[str, Any], table: Table) -> Iterator[str]:
    found = _keys_of(described["KeySchema"])
    if found != table.key:
        yield f"its key is {found}, and this release needs {table.key}: it is another table"


def _indexes_of(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return {each["IndexName"]: each for each in described.get("GlobalSecondaryIndexes", ())}


def _index_faults(described: Mapping[str, Any], table: Table) -> Iterator[str]:
    indexes = _indexes_of(described)
    for index in table.indexes:
        if index.name not in indexes:
            yield f"no index {index.name}"
        else:
            yield from _differences(indexes[index.name], index)


def _differences(found: Mapping[str, Any], index: Index) -> Iterator[str]:
    keys, wanted = _keys_of(found["KeySchema"]), f"{index.partition}, {index.sort}"
    if keys != wanted:
        yield f"index {index.name} has the keys {keys}, and this release needs {wanted}"
    projected = found["Projection"]
    held = (projected["ProjectionType"], set(projected.get("NonKeyAttributes", ())))
    if held != (index.projection, set(index.attributes)):
        yield f"index {index.name} holds other attributes than this release needs"
    # An emulator may leave the status out.
    status = found.get("IndexStatus", "ACTIVE")
    if status != "ACTIVE":
        yield f"index {index.name} is {status}, not ready yet"


def _expiry_faults(client: DynamoDBClient, name: str, attribute: str) -> Iterator[str]:
    described = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    is_on = described.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
    if not is_on or described.get("AttributeName") != attribute:
        yield f"items do not expire by {attribute}"
