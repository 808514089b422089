"""The base classes of stores on one table, and of stores of rides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from service.model import Ride, RideStatus
from service.stores.dynamodb.calls import BATCH, PATIENCE_SECONDS, get_batch, patiently
from service.stores.dynamodb.items import can_be_key, readable_rides, text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.stores.dynamodb.items import Item

Answer = TypeVar("Answer")


class TableStore:
    """A store on one table. `patience_seconds`: how long a call is retried.

    Each method raises `Unavailable`. They take the value of an item's key as a text.
    """

    key: ClassVar[str] = "operation_id"
    """The attribute that is the table's key."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._client = client
        self._table = table
        self._patience = patience_seconds

    def _call(self, operation: Callable[..., Answer], **request: Any) -> Answer:
        """Make a call about this table. Raises `ConditionFailed` if a condition does not hold."""
        return patiently(partial(operation, TableName=self._table, **request), self._patience)

    def _key(self, item_id: str) -> Item:
        return {self.key: text(item_id)}

    def _stored(self, item_id: str) -> Item | None:
        """The item of this key, read consistently; None without a call if no item can have it."""
        if not can_be_key(item_id):
            return None
        answer = self._call(self._client.get_item, Key=self._key(item_id), ConsistentRead=True)
        return answer.get("Item")

    def _put(self, item: Item) -> None:
        """Store the item in place of any with its key."""
        self._call(self._client.put_item, Item=item)

    def _updated(self, item_id: str, expression: str, values: Item, **more: Any) -> Item:
        """Change the item of this key, or make it; returns it as it is afterwards.

        `more`: further parameters of the call; `ReturnValues="ALL_OLD"` returns the item as it was.
        Raises `ConditionFailed` if a condition among them does not hold.
        """
        answer = self._call(
            self._client.update_item,
            Key=self._key(item_id),
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
            **({"ReturnValues": "ALL_NEW"} | more),
        )
        return answer.get("Attributes", {})

    def _deleted(self, item_id: str) -> Item:
        """Delete the item of this key; returns what it was, empty if there was none."""
        answer = self._call(
            self._client.delete_item, Key=self._key(item_id), ReturnValues="ALL_OLD"
        )
        return answer.get("Attributes", {})

    def _pages(
        self, operation: Callable[..., Any], request: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """The answers of a query or a scan, one call for each, made when it is needed."""
        start: Mapping[str, Any] = {}
        while True:
            answer = self._call(operation, **{**request, **start})
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _query(self, request: Mapping[str, Any], most_pages: int | None = None) -> Iterator[Item]:
        """The items of a query, read as they are needed, a page with each call."""
        for page in islice(self._pages(self._client.query, request), most_pages):
            yield from page["Items"]

    def _items_of(self, item_ids: Sequence[str], *, consistent: bool = True) -> Iterator[Item]:
        """The existing items of these keys, in no order, read in batches.

        An eventually consistent read costs half as much.
        """
        keys = [self._key(item_id) for item_id in item_ids if can_be_key(item_id)]
        for first in range(0, len(keys), BATCH):
            batch = {self._table: keys[first : first + BATCH]}
            yield from get_batch(self._client, batch, self._patience, consistent)[self._table]


class RideTable(TableStore):
    """A store on the table of rides."""

    key = "ride_id"

    def _rides(
        self, ride_ids: Sequence[str], status: RideStatus | None, *, consistent: bool = True
    ) -> list[Ride]:
        """The readable rides of these ids, in this order, if they have the status (None: any)."""
        read = readable_rides(self._items_of(ride_ids, consistent=consistent))
        rides = {ride.ride_id: ride for ride in read if status in (None, ride.status)}
        return [rides[ride_id] for ride_id in ride_ids if ride_id in rides]
