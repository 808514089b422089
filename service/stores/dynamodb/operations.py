"""Stores dead letters and the changes of staff: items that expire and are listed newest first."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from service.model import Page
from service.model.operations import AuditEntry, DeadLetter
from service.observability.instruments import DEAD_LETTERS
from service.stores.dynamodb.calls import ConditionFailed
from service.stores.dynamodb.items import Value, readable, text
from service.stores.dynamodb.table import TableStore
from service.stores.records import instant_of, instant_text, record_of, value_of

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item

_TEXTS: Final = ("action", "sub", "client_id", "request_id", "method", "route")
"""The fields of an audit entry that are texts or None."""


class _ListedStore(TableStore):
    """A store of one kind of listed items.

    Each method makes one remote call, except where it says otherwise, and raises `Unavailable`.
    """

    listed_as: ClassVar[str]
    """The key of the kind in the index."""
    prefix: ClassVar[str]
    """Begins the keys of the kind."""
    remembered: ClassVar[timedelta]

    def _list(self, entry_id: str, at: datetime, attributes: Item) -> None:
        """Store an item that is listed by the instant `at`, in place of an item with this id."""
        listed: Item = {
            "operation_id": text(self.prefix + entry_id),
            "listed_as": text(self.listed_as),
            "set_aside_at": text(instant_text(at)),
            "expires_at": {"N": str(math.ceil((at + self.remembered).timestamp()))},
        }
        self._put(attributes | listed)

    def _newest(
        self, load: Callable[[Item], Value], limit: int, start: Mapping[str, str] | None
    ) -> Page[Value]:
        """The readable ones of `limit` items, newest first."""
        listed_as = text(self.listed_as)
        further: dict[str, Any] = {}
        if start is not None:
            further["ExclusiveStartKey"] = {
                "listed_as": listed_as,
                "operation_id": text(self.prefix + start["operation_id"]),
                "set_aside_at": text(start["set_aside_at"]),
            }
        answer = self._call(
            self._client.query,
            IndexName="dead_letters",
            KeyConditionExpression="listed_as = :listed_as",
            ExpressionAttributeValues={":listed_as": listed_as},
            ScanIndexForward=False,
            Limit=limit,
            **further,
        )
        items: list[Item] = answer["Items"]
        found = tuple(filter(None, (readable(load, item, "operation_id") for item in items)))
        if not items or "LastEvaluatedKey" not in answer:
            return Page(found)
        last = items[-1]
        place = {"operation_id": self._name(last), "set_aside_at": last["set_aside_at"]["S"]}
        return Page(found, place)

    def _name(self, item: Item) -> str:
        return item["operation_id"]["S"].removeprefix(self.prefix)


class DynamoDeadLetters(_ListedStore):
    """`DeadLetters` on the table of operations."""

    listed_as = "dead_letter"
    prefix = "dead-letter#"
    remembered = timedelta(days=30)
    """Long enough to be seen, but not an archive of riders."""

    def put(self, letter: DeadLetter) -> None:
        record = record_of(letter)
        record["letter_kind"] = record.pop("kind")
        entry_id = record.pop("dead_letter_id")
        self._list(entry_id, letter.set_aside_at, {each: text(record[each]) for each in record})
        DEAD_LETTERS.inc()

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        item = self._stored(self.prefix + dead_letter_id)
        return self._letter(item) if item else None

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        return self._newest(self._letter, limit, start)

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        values = {
            ":at": text(instant_text(at)),
            ":set_aside_at": text(instant_text(letter.set_aside_at)),
        }
        with suppress(ConditionFailed):
            self._updated(
                self.prefix + letter.dead_letter_id,
                "SET replayed_at = :at",
                values,
                ConditionExpression="set_aside_at = :set_aside_at",
            )

    def forget(self, dead_letter_ids: Collection[str]) -> None:
        """One remote call for each."""
        for dead_letter_id in dead_letter_ids:
            self._deleted(self.prefix + dead_letter_id)

    def _letter(self, item: Item) -> DeadLetter:
        record = {name: value["S"] for name, value in item.items() if "S" in value}
        record |= {"dead_letter_id": self._name(item), "kind": record["letter_kind"]}
        return value_of(DeadLetter, record)


class DynamoAuditLog(_ListedStore):
    """`AuditLog` on the table of operations. The process's log has a line for each entry, too."""

    listed_as = "audit"
    prefix = "audit#"
    remembered = timedelta(days=90)
    """Long enough to look into a complaint."""

    def put(self, entry: AuditEntry) -> None:
        texts = {name: getattr(entry, name) for name in _TEXTS}
        attributes: Item = {name: text(value) for name, value in texts.items() if value}
        attributes["subjects"] = {"M": {n: text(value) for n, value in entry.subjects.items()}}
        self._list(entry.audit_id, entry.at, attributes)

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[AuditEntry]:
        return self._newest(self._entry, limit, start)

    def _entry(self, item: Item) -> AuditEntry:
        texts = {name: item[name]["S"] if name in item else None for name in _TEXTS}
        return AuditEntry(
            audit_id=self._name(item),
            at=instant_of(item["set_aside_at"]["S"]),
            subjects={name: value["S"] for name, value in item["subjects"]["M"].items()},
            **texts,  # type: ignore[arg-type]
        )
