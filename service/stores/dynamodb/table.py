"""The base classes of stores on one table, and of items that expire and are listed newest first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from service.model import Page
from service.stores.dynamodb.calls import BATCH, PATIENCE_SECONDS, get_batch, patiently
from service.stores.dynamodb.items import Value, readable, text
from service.stores.records import instant_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from service.stores.dynamodb.items import Item


class TableStore:
    """A store on one table. `patience_seconds`: how long a call is retried."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._client = client
        self._table = table
        self._patience = patience_seconds

    def _stored(self, key: Item) -> Item | None:
        """The item with this key, read consistently. Raises `Unavailable`."""
        answer = patiently(
            lambda: self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True),
            self._patience,
        )
        return answer.get("Item")

    def _updated(self, key: Item, expression: str, values: Item, **more: Any) -> Item:
        """Change the item with this key, or make it; returns it as it is afterwards.

        `more`: further parameters of the call; `ReturnValues="ALL_OLD"` returns the item as it was.
        Raises `Unavailable`, and `ConditionFailed` if a condition is among them.
        """
        update = partial(
            self._client.update_item,
            TableName=self._table,
            Key=key,
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
            **({"ReturnValues": "ALL_NEW"} | more),
        )
        return patiently(update, self._patience).get("Attributes", {})

    def _query(self, first: QueryInputTypeDef, most_pages: int | None = None) -> Iterator[Item]:
        """All items; makes one call per page, when the first item of the page is needed. May raise
        `Unavailable`.
        """
        request = first.copy()
        for _ in count() if most_pages is None else range(most_pages):
            answer = patiently(partial(self._client.query, **request), self._patience)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _items_of(self, keys: Sequence[Item], *, consistent: bool = True) -> Iterator[Item]:
        """The existing items of these keys, in no order, read in batches. May raise `Unavailable`.

        An eventually consistent read costs half as much.
        """
        for first in range(0, len(keys), BATCH):
            batch = {self._table: list(keys[first : first + BATCH])}
            yield from get_batch(self._client, batch, self._patience, consistent)[self._table]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item: its value of `listed_as`, the prefix of its keys, and how long it is kept."""

    listed_as: str
    prefix: str
    remembered: timedelta

    def key(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def name(self, item: Item) -> str:
        return item["operation_id"]["S"].removeprefix(self.prefix)


class ListedStore(TableStore):
    """A store of one kind of listed items, on the table of operations.

    Each method makes one call; raises `Unavailable`.
    """

    kind: Kind

    def _put(self, name: str, at: datetime, attributes: Item) -> None:
        """Store an item that is listed by the instant `at`, in place of an item with this name."""
        forgotten_at = at + self.kind.remembered
        item: Item = {
            **attributes,
            "operation_id": text(self.kind.key(name)),
            "listed_as": text(self.kind.listed_as),
            "set_aside_at": text(instant_text(at)),
            "expires_at": {"N": str(math.ceil(forgotten_at.timestamp()))},
        }
        patiently(lambda: self._client.put_item(TableName=self._table, Item=item), self._patience)

    def _newest(
        self, load: Callable[[Item], Value], limit: int, start: Mapping[str, str] | None
    ) -> Page[Value]:
        """The readable ones of `limit` items, newest first."""
        listed_as = text(self.kind.listed_as)
        query: QueryInputTypeDef = {
            "TableName": self._table,
            "IndexName": "dead_letters",
            "KeyConditionExpression": "listed_as = :listed_as",
            "ExpressionAttributeValues": {":listed_as": listed_as},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if start is not None:
            query["ExclusiveStartKey"] = {
                "listed_as": listed_as,
                "operation_id": text(self.kind.key(start["operation_id"])),
                "set_aside_at": text(start["set_aside_at"]),
            }
        answer = patiently(partial(self._client.query, **query), self._patience)
        items: list[Item] = answer["Items"]
        found = filter(None, (readable(load, item, "operation_id") for item in items))
        if not items or "LastEvaluatedKey" not in answer:
            return Page(tuple(found))
        last = items[-1]
        place = {"operation_id": self.kind.name(last), "set_aside_at": last["set_aside_at"]["S"]}
        return Page(tuple(found), place)
