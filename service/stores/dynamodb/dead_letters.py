"""Stores dead letters in DynamoDB: listed by a sparse index, with expiry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from service.model import Page
from service.model.operations import DeadLetter
from service.observability.instruments import DEAD_LETTERS
from service.stores.dynamodb.calls import ConditionFailed, patiently
from service.stores.dynamodb.items import can_be_key, text
from service.stores.dynamodb.table import Kind, ListedStore
from service.stores.records import instant_text, record_of, value_of

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item

REMEMBERED: Final = timedelta(days=30)
"""How long a dead letter is kept: long enough to be seen, but not an archive of riders."""

LETTERS: Final = Kind("dead_letter", "dead-letter#", REMEMBERED)


class DynamoDeadLetters(ListedStore):
    """`DeadLetters` on the table of operations. Raises `Unavailable`."""

    kind = LETTERS

    def put(self, letter: DeadLetter) -> None:
        record = record_of(letter)
        record["letter_kind"] = record.pop("kind")
        name = record.pop("dead_letter_id")
        attributes: Item = {each: text(value) for each, value in record.items()}
        self._put(name, letter.set_aside_at, attributes)
        DEAD_LETTERS.inc()

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        name = LETTERS.key(dead_letter_id)
        if not can_be_key(name):
            return None
        item = self._stored({"operation_id": text(name)})
        return _letter(item) if item else None

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        return self._newest(_letter, limit, start)

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        try:
            patiently(
                lambda: self._client.update_item(
                    TableName=self._table,
                    Key={"operation_id": text(LETTERS.key(letter.dead_letter_id))},
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
        for name in map(LETTERS.key, dead_letter_ids):
            key = {"operation_id": text(name)}
            if can_be_key(name):
                patiently(
                    partial(self._client.delete_item, TableName=self._table, Key=key),
                    self._patience,
                )


def _letter(item: Item) -> DeadLetter:
    record = {name: value["S"] for name, value in item.items() if "S" in value}
    record |= {"dead_letter_id": LETTERS.name(item), "kind": record["letter_kind"]}
    return value_of(DeadLetter, record)
