"""Stores rides in DynamoDB. The row is the outbox: the index `open_rides` has every open ride.

The indexes of a rider's and of a unicorn's rides hold only keys, by which the rides are read in
batches. So a ride is listed as it is stored, and only for the rider or unicorn that it has at that
moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

from service.core.ports import MOST_LISTED, WriteConflict
from service.model import Page, Ride, RideStatus
from service.observability.instruments import RIDES_REQUESTED
from service.stores.dynamodb.calls import BATCH, PATIENCE_SECONDS, ConditionFailed
from service.stores.dynamodb.due import QUERY_PAGE, DueRides
from service.stores.dynamodb.items import can_be_key, readable, ride_from, ride_item, text
from service.stores.dynamodb.steps import count_step, waiting_metrics
from service.stores.dynamodb.updates import new_write_id, ride_update
from service.stores.records import instant_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Party = Literal["rider_id", "unicorn_id"]
"""The attribute by which rides are listed."""
_INDEXES: Final[Mapping[Party, str]] = {"rider_id": "by_rider_keys", "unicorn_id": "by_unicorn"}
_CONTINUES: Final = ("ride_id", "requested_at")
"""The parts of a continuation key, besides the rider or the unicorn."""


KEPT_WHEN_BLANK: Final = frozenset({"ride_id", "expires_at", "last_write_id"})
"""The attributes that stay of an unreadable ride whose rider is erased."""


class DynamoRides(DueRides):
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
        self._waiting_metrics = waiting_metrics()

    def create(self, ride: Ride) -> Ride | None:
        write_id = text(new_write_id())
        try:
            self._call(
                self._client.put_item,
                Item=ride_item(ride) | {"first_write_id": write_id, "last_write_id": write_id},
                ConditionExpression="attribute_not_exists(ride_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as failed:
            stored = failed.stored[0]
            # If it has the id of this write, the stored ride is our own, even if a round claimed it
            # before we noticed that the answer was lost.
            if stored.get("first_write_id") != write_id:
                return ride_from(stored)
        RIDES_REQUESTED.inc()
        return None

    def get(self, ride_id: str) -> Ride | None:
        item = self._stored(ride_id)
        return ride_from(item) if item else None

    def save(self, before: Ride, after: Ride) -> None:
        write_id = new_write_id()
        update = ride_update(self._table, before, after, write_id, retention=self._retention)
        try:
            self._write(update, write_id)
        except ConditionFailed as failed:
            stored = failed.stored[0]
            raise WriteConflict(ride=ride_from(stored) if stored else None) from failed
        count_step(before, after)

    def list_of_rider(
        self,
        rider_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        return self._page("rider_id", rider_id, status, limit, start, since)

    def list_of_unicorn(
        self,
        unicorn_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        return self._page("unicorn_id", unicorn_id, status, limit, start, since)

    def unreadable_of_rider(self, rider_id: str) -> Iterator[str]:
        entries = self._query(_listing("rider_id", rider_id, None, None))
        while ride_ids := [entry["ride_id"]["S"] for entry in islice(entries, BATCH)]:
            for item in self._items_of(ride_ids):
                # The index may be a moment old, so the ride may have another rider by now.
                is_theirs = item.get("rider_id") == text(rider_id)
                if is_theirs and readable(ride_from, item, "ride_id") is None:
                    yield item["ride_id"]["S"]

    def blank(self, ride_id: str, rider_id: str, *, open_since: datetime) -> bool:
        item = self._stored(ride_id) or {}
        is_theirs = item.get("rider_id") == text(rider_id)
        if not is_theirs or readable(ride_from, item, "ride_id") is not None:
            return False
        write_id = new_write_id()
        gone = {f"#{n}": name for n, name in enumerate(item.keys() - KEPT_WHEN_BLANK)}
        try:
            self._updated(
                ride_id,
                f"SET last_write_id = :write REMOVE {', '.join(gone)}",
                {
                    ":write": text(write_id),
                    ":rider": text(rider_id),
                    ":since": text(instant_text(open_since)),
                },
                ExpressionAttributeNames=gone | {"#shard": "shard"},
                ConditionExpression=(
                    "rider_id = :rider AND (attribute_not_exists(#shard) OR requested_at < :since)"
                ),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as failed:
            return failed.is_own_echo(write_id)
        return True

    def _page(
        self,
        party: Party,
        party_id: str,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None,
    ) -> Page[Ride]:
        if not can_be_key(party_id):
            return Page(())
        found: list[Ride] = []
        read = 0
        query = _listing(party, party_id, start, since)
        # With a status, more rides are read than shown.
        query["Limit"] = limit + 1 if status is None else min(max(limit, QUERY_PAGE), MOST_LISTED)
        for answer in self._pages(self._client.query, query):
            ride_ids = [entry["ride_id"]["S"] for entry in answer["Items"]]
            rides = self._rides(ride_ids, status, consistent=False)
            # The index may be a moment old, so a ride may have another party by now.
            found += [ride for ride in rides if getattr(ride, party) == party_id]
            read += len(ride_ids)
            if len(found) > limit:
                return Page(tuple(found[:limit]), _place_of(found[limit - 1]))
            last = answer.get("LastEvaluatedKey")
            if last and read >= MOST_LISTED:
                return Page(tuple(found), {each: last[each]["S"] for each in _CONTINUES})
        return Page(tuple(found))


def _listing(
    party: Party, party_id: str, start: Mapping[str, str] | None, since: datetime | None
) -> dict[str, Any]:
    """The query of a party's rides, newest first."""
    condition, values = f"{party} = :party", {":party": text(party_id)}
    if since is not None:
        condition += " AND requested_at >= :since"
        values[":since"] = text(instant_text(since))
    query: dict[str, Any] = {
        "IndexName": _INDEXES[party],
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
    }
    if start is not None:
        # The party is the caller's own, so a forged key cannot lead into the rides of another.
        place = {each: text(start[each]) for each in _CONTINUES}
        query["ExclusiveStartKey"] = {party: text(party_id), **place}
    return query


def _place_of(ride: Ride) -> dict[str, str]:
    """The key of the next page, which begins after this ride."""
    return {"ride_id": ride.ride_id, "requested_at": instant_text(ride.requested_at)}
