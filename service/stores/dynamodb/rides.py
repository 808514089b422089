"""Rides in DynamoDB. The row is the outbox: while a ride is open, the index `due` holds it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from service.core.ports import MOST_LISTED, WriteConflict
from service.model import Page, Ride, RideStatus
from service.stores.dynamodb.calls import PATIENCE_SECONDS, ConditionFailed, patiently
from service.stores.dynamodb.due import QUERY_PAGE, DueRides
from service.stores.dynamodb.items import can_be_key, readable_rides, ride_from, ride_item, text
from service.stores.dynamodb.updates import new_write_id, ride_update
from service.stores.records import instant_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        QueryInputTypeDef,
    )

    from service.stores.dynamodb.items import Item

logger = logging.getLogger(__name__)

CONTINUES: Final = ("ride_id", "requested_at")
"""What a continuation key of a rider's listing consists of, besides the rider."""


class DynamoRides(DueRides):
    """`Rides` on one table.

    `retention` is how long a ride is kept after its end (zero: for ever). DynamoDB removes it
    within days after that; it is shown until then.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        retention: timedelta = timedelta(),
    ) -> None:
        super().__init__(client, table, patience_seconds=patience_seconds)
        self._retention = retention

    def create(self, ride: Ride) -> Ride | None:
        mark = text(new_write_id())
        item = ride_item(ride) | {"first_write_id": mark, "last_write_id": mark}

        def put() -> object:
            return self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(ride_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )

        try:
            patiently(put, self._patience)
        except ConditionFailed as failed:
            stored = failed.stored[0]
            # Our own, even if a round claimed it before the loss of our answer was noticed.
            return None if stored.get("first_write_id") == mark else ride_from(stored)
        return None

    def get(self, ride_id: str) -> Ride | None:
        if not can_be_key(ride_id):
            return None
        item = self._stored({"ride_id": text(ride_id)})
        return ride_from(item) if item else None

    def list_of_rider(
        self,
        rider_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
    ) -> Page[Ride]:
        asked = self._of_rider(rider_id, status, start, limit + 1)
        found: list[Ride] = []
        looked_at = 0
        while True:
            answer = patiently(partial(self._client.query, **asked), self._patience)
            found += readable_rides(answer["Items"])
            looked_at += answer["ScannedCount"]
            if len(found) > limit:
                return Page(tuple(found[:limit]), _place_of(found[limit - 1]))
            last = answer.get("LastEvaluatedKey")
            if last is None:
                return Page(tuple(found))
            if looked_at >= MOST_LISTED:
                return Page(tuple(found), {name: last[name]["S"] for name in CONTINUES})
            asked["ExclusiveStartKey"] = last

    def save(self, before: Ride, after: Ride) -> None:
        write_id = new_write_id()
        update = ride_update(self._table, before, after, write_id, retention=self._retention)
        try:
            self._update(update, write_id)
        except ConditionFailed as failed:
            stored = failed.stored[0]
            raise WriteConflict(ride=ride_from(stored) if stored else None) from failed

    def _of_rider(
        self,
        rider_id: str,
        status: RideStatus | None,
        start: Mapping[str, str] | None,
        limit: int,
    ) -> QueryInputTypeDef:
        asked: QueryInputTypeDef = {
            "TableName": self._table,
            "IndexName": "by_rider",
            "KeyConditionExpression": "rider_id = :rider_id",
            "ExpressionAttributeValues": {":rider_id": text(rider_id)},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if status is not None:
            # DynamoDB counts before it filters.
            asked["Limit"] = min(max(limit, QUERY_PAGE), MOST_LISTED)
            asked["FilterExpression"] = "#status = :status"
            asked["ExpressionAttributeNames"] = {"#status": "status"}
            asked["ExpressionAttributeValues"] = {
                ":rider_id": text(rider_id),
                ":status": text(status),
            }
        if start is not None:
            # The rider is the caller's, whatever the key says: it leads into no other's rides.
            asked["ExclusiveStartKey"] = _continuation(rider_id, start)
        return asked


def _place_of(ride: Ride) -> dict[str, str]:
    """Where the next page of a rider's listing begins: after this ride."""
    return {"ride_id": ride.ride_id, "requested_at": instant_text(ride.requested_at)}


def _continuation(rider_id: str, start: Mapping[str, str]) -> Item:
    return {
        "rider_id": text(rider_id),
        "ride_id": text(start["ride_id"]),
        "requested_at": text(start["requested_at"]),
    }
