"""Stores rides in DynamoDB. The row is the outbox: the index `open_rides` has every open ride."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from service.core.ports import WriteConflict
from service.model import Ride
from service.stores.dynamodb.calls import PATIENCE_SECONDS, ConditionFailed, patiently
from service.stores.dynamodb.due import DueRides
from service.stores.dynamodb.items import can_be_key, ride_from, ride_item, text
from service.stores.dynamodb.parties import PartyListings
from service.stores.dynamodb.updates import new_write_id, ride_update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = logging.getLogger(__name__)


class DynamoRides(DueRides, PartyListings):
    """`Rides` on one table.

    `retention`: how long a ride is kept after its end (zero: for ever). DynamoDB deletes it within
    days after that; until then it is shown.
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
        write_id = text(new_write_id())
        item = ride_item(ride) | {"first_write_id": write_id, "last_write_id": write_id}

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
            # It is our own ride, even if a round claimed it before we noticed the lost answer.
            return None if stored.get("first_write_id") == write_id else ride_from(stored)
        return None

    def get(self, ride_id: str) -> Ride | None:
        if not can_be_key(ride_id):
            return None
        item = self._stored({"ride_id": text(ride_id)})
        return ride_from(item) if item else None

    def save(self, before: Ride, after: Ride) -> None:
        write_id = new_write_id()
        update = ride_update(self._table, before, after, write_id, retention=self._retention)
        try:
            self._update(update, write_id)
        except ConditionFailed as failed:
            stored = failed.stored[0]
            raise WriteConflict(ride=ride_from(stored) if stored else None) from failed
