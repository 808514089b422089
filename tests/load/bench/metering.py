"""Counts the capacity units that the calls of a DynamoDB client consume, index writes included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KINDS = {
    "GetItem": "read",
    "BatchGetItem": "read",
    "Query": "read",
    "PutItem": "write",
    "UpdateItem": "write",
    "BatchExecuteStatement": "write",
    "TransactWriteItems": "write",
}


class Meter:
    """Makes every call of `client` return its consumed capacity, and adds it up."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.units: Counter[str] = Counter()
        for operation, kind in KINDS.items():
            name = f"dynamodb.{operation}"
            client.meta.events.register(f"provide-client-params.{name}", self._ask)
            client.meta.events.register(f"after-call.{name}", partial(self._count, kind))

    def _ask(self, params: dict[str, Any], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def _count(self, kind: str, parsed: Mapping[str, Any], **_: object) -> None:
        if kind == "read" and "Responses" in parsed and "ConsumedCapacity" not in parsed:
            # The emulator does not say; a consistent read of an item up to 4 KiB is one unit.
            self.units[kind] += sum(len(items) for items in parsed["Responses"].values())
            return
        if "Items" in parsed:
            # The emulator counts items. An index is billed half a unit for each 4 KiB it returns.
            read = sum(map(_bytes_of, parsed["Items"]))
            self.units[kind] += max(1, -(-read // 4096)) / 2
            return
        consumed = parsed["ConsumedCapacity"]
        for part in consumed if isinstance(consumed, list) else [consumed]:
            self.units[kind] += part["CapacityUnits"]


def _bytes_of(item: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of an item of texts by DynamoDB's rules: the bytes of names and values in UTF-8."""
    return sum(
        len(name.encode()) + len(str(*value.values()).encode()) for name, value in item.items()
    )
