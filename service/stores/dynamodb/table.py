"""The base class of stores on one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from service.stores.dynamodb.calls import BATCH, PATIENCE_SECONDS, get_batch, patiently

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
