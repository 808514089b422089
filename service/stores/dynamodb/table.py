"""What the stores on one table have in common."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from service.stores.dynamodb.calls import PATIENCE_SECONDS, patiently

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from service.stores.dynamodb.items import Item


class TableStore:
    """A store on one table. `patience_seconds` is how long a call is begun again."""

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
        """All items, page after page as they are asked for. Each page may raise `Unavailable`."""
        request = first.copy()
        for _ in count() if most_pages is None else range(most_pages):
            answer = patiently(partial(self._client.query, **request), self._patience)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
