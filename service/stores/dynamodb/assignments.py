"""Writes that touch a ride and its unicorn, as one DynamoDB transaction."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from service.core.ports import WriteConflict
from service.model import Ride, RideStatus, Unicorn
from service.stores.dynamodb.calls import PATIENCE_SECONDS, ConditionFailed, get_batch, write
from service.stores.dynamodb.items import can_be_key, ride_from, text, unicorn_from
from service.stores.dynamodb.steps import count_step, counted_claim
from service.stores.dynamodb.updates import new_write_id, ride_update, unicorn_update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RIDE, UNICORN = 0, 1
"""Positions in the transaction, and so in the list of its cancellation reasons."""


class DynamoAssignments:
    """`Assignments` on two tables. `patience_seconds` and `retention` are those of the rides."""

    def __init__(
        self,
        client: DynamoDBClient,
        rides_table: str,
        unicorns_table: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        retention: timedelta = timedelta(),
    ) -> None:
        self._retention = retention
        self._client = client
        self._rides = rides_table
        self._unicorns = unicorns_table
        self._patience = patience_seconds

    def pair(self, ride_id: str, unicorn_id: str) -> tuple[Ride | None, Unicorn | None]:
        if not can_be_key(ride_id):
            return None, None
        keys = {
            self._rides: [{"ride_id": text(ride_id)}],
            self._unicorns: [{"unicorn_id": text(unicorn_id)}],
        }
        found = get_batch(self._client, keys, self._patience)
        ride = next(map(ride_from, found[self._rides]), None)
        unicorn = next(map(unicorn_from, found[self._unicorns]), None)
        return ride, unicorn

    def commit(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        before, after = ride
        is_claim = before.status is RideStatus.REQUESTED and not after.is_terminal
        with counted_claim(before.ride_id) if is_claim else nullcontext():
            self._write(ride, unicorn)
        count_step(before, after)

    def _write(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        write_id = new_write_id()
        ride_side = ride_update(self._rides, *ride, write_id, retention=self._retention)
        unicorn_side = unicorn_update(self._unicorns, *unicorn, write_id)
        try:
            write(
                lambda: self._client.transact_write_items(
                    TransactItems=[{"Update": ride_side}, {"Update": unicorn_side}],
                    ClientRequestToken=write_id,
                ),
                write_id,
                self._patience,
            )
        except ConditionFailed as failed:
            stored_ride, stored_unicorn = failed.stored.get(RIDE), failed.stored.get(UNICORN)
            raise WriteConflict(
                ride=ride_from(stored_ride) if stored_ride else None,
                unicorn=unicorn_from(stored_unicorn) if stored_unicorn else None,
            ) from failed
