"""Dead letters in DynamoDB: what was set aside, listed by a sparse index, forgotten in time."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from service.model import Page
from service.model.operations import DeadLetter
from service.observability.instruments import DEAD_LETTERS
from service.stores.dynamodb.calls import ConditionFailed, patiently
from service.stores.dynamodb.items import can_be_key, text
from service.stores.dynamodb.table import TableStore
from service.stores.records import instant_text, record_of, value_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from service.stores.dynamodb.items import Item

REMEMBERED: Final = timedelta(days=30)
"""How long a dead letter is kept: time enough to be seen, and no archive of riders."""

_LISTED: Final = "dead_letter"
_PREFIX: Final = "dead-letter#"


class DynamoDeadLetters(TableStore):
    """`DeadLetters` on the table of operations. Raises `Unavailable`."""

    def put(self, letter: DeadLetter) -> None:
        item = _item(letter)
        patiently(lambda: self._client.put_item(TableName=self._table, Item=item), self._patience)
        DEAD_LETTERS.inc()

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        name = _key(dead_letter_id)
        if not can_be_key(name):
            return None
        item = self._stored({"operation_id": text(name)})
        return _letter(item) if item else None

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        asked: QueryInputTypeDef = {
            "TableName": self._table,
            "IndexName": "dead_letters",
            "KeyConditionExpression": "listed_as = :listed_as",
            "ExpressionAttributeValues": {":listed_as": text(_LISTED)},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if start is not None:
            asked["ExclusiveStartKey"] = {
                "listed_as": text(_LISTED),
                "operation_id": text(_key(start["operation_id"])),
                "set_aside_at": text(start["set_aside_at"]),
            }
        answer = patiently(partial(self._client.query, **asked), self._patience)
        letters = tuple(map(_letter, answer["Items"]))
        more = letters and "LastEvaluatedKey" in answer
        return Page(letters, _place(letters[-1]) if more else None)

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        try:
            patiently(
                lambda: self._client.update_item(
                    TableName=self._table,
                    Key={"operation_id": text(_key(letter.dead_letter_id))},
                    UpdateExpression="SET replayed_at = :at",
                    ConditionExpression="set_aside_at = :set_aside_at",
                    ExpressionAttributeValues={
                        ":at": text(instant_text(at)),
                        ":set_aside_at": text(instant_text(letter.set_aside_at)),
                    },
                ),
                self._patience,
            )
        except ConditionFailed:
            return

    def forget(self, dead_letter_ids: Collection[str]) -> None:
        """One remote call for each."""
        for name in map(_key, dead_letter_ids):
            key = {"operation_id": text(name)}
            if can_be_key(name):
                patiently(
                    partial(self._client.delete_item, TableName=self._table, Key=key),
                    self._patience,
                )


def _key(dead_letter_id: str) -> str:
    return f"{_PREFIX}{dead_letter_id}"


def _item(letter: DeadLetter) -> Item:
    record = record_of(letter)
    record |= {
        "operation_id": _key(record.pop("dead_letter_id")),
        "letter_kind": record.pop("kind"),
        "listed_as": _LISTED,
    }
    forgotten_at = letter.set_aside_at + REMEMBERED
    return {
        **{name: text(value) for name, value in record.items()},
        "expires_at": {"N": str(math.ceil(forgotten_at.timestamp()))},
    }


def _letter(item: Item) -> DeadLetter:
    record = {name: value["S"] for name, value in item.items() if "S" in value}
    record |= {
        "dead_letter_id": record["operation_id"].removeprefix(_PREFIX),
        "kind": record["letter_kind"],
    }
    return value_of(DeadLetter, record)


def _place(letter: DeadLetter) -> dict[str, str]:
    return {
        "operation_id": letter.dead_letter_id,
        "set_aside_at": instant_text(letter.set_aside_at),
    }
