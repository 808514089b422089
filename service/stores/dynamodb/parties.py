"""Lists the rides of one rider or one unicorn, newest first.

The indexes hold only keys, by which the rides are read in batches. So a ride is listed as it is
stored, and only for the rider or unicorn that it has at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from service.core.ports import MOST_LISTED
from service.model import Page, Ride, RideStatus
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.due import QUERY_PAGE
from service.stores.dynamodb.items import can_be_key, readable_rides, text
from service.stores.dynamodb.table import TableStore
from service.stores.records import instant_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from service.stores.dynamodb.items import Item

CONTINUES: Final = ("ride_id", "requested_at")
"""The parts of a continuation key, besides the rider or the unicorn."""


@dataclass(frozen=True, slots=True)
class Party:
    """A rider or a unicorn: the index of its rides, and the attribute with its id."""

    index: str
    attribute: Literal["rider_id", "unicorn_id"]
    name: str


class PartyListings(TableStore):
    """The part of `Rides` that lists."""

    def list_of_rider(
        self,
        rider_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        party = Party("by_rider_keys", "rider_id", rider_id)
        return self._page(party, status, limit, start, since)

    def list_of_unicorn(
        self,
        unicorn_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        party = Party("by_unicorn", "unicorn_id", unicorn_id)
        return self._page(party, status, limit, start, since)

    def _page(
        self,
        party: Party,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None,
    ) -> Page[Ride]:
        if not can_be_key(party.name):
            return Page(())
        found: list[Ride] = []
        read = 0
        query = _keys_of(party, start, since)
        query["TableName"] = self._table
        # With a status, more rides are read than shown.
        query["Limit"] = limit + 1 if status is None else min(max(limit, QUERY_PAGE), MOST_LISTED)
        while True:
            answer = patiently(partial(self._client.query, **query), self._patience)
            found += self._rides_of(party, answer["Items"], status)
            read += len(answer["Items"])
            if len(found) > limit:
                return Page(tuple(found[:limit]), _place_of(found[limit - 1]))
            last = answer.get("LastEvaluatedKey")
            if last is None:
                return Page(tuple(found))
            if read >= MOST_LISTED:
                return Page(tuple(found), {name: last[name]["S"] for name in CONTINUES})
            query["ExclusiveStartKey"] = last

    def _rides_of(self, party: Party, entries: list[Item], status: RideStatus | None) -> list[Ride]:
        """The rides of these entries, in this order, without those of another party by now."""
        keys: list[Item] = [{"ride_id": entry["ride_id"]} for entry in entries]
        read = readable_rides(self._items_of(keys, consistent=False))
        rides = {ride.ride_id: ride for ride in read if status in (None, ride.status)}
        listed = (rides.get(key["ride_id"]["S"]) for key in keys)
        return [ride for ride in listed if ride and getattr(ride, party.attribute) == party.name]


def _keys_of(
    party: Party, start: Mapping[str, str] | None, since: datetime | None
) -> QueryInputTypeDef:
    query: QueryInputTypeDef = {
        "TableName": "",
        "IndexName": party.index,
        "KeyConditionExpression": f"{party.attribute} = :party",
        "ExpressionAttributeValues": {":party": text(party.name)},
        "ScanIndexForward": False,
    }
    if since is not None:
        query["KeyConditionExpression"] += " AND requested_at >= :since"
        query["ExpressionAttributeValues"] = {
            ":party": text(party.name),
            ":since": text(instant_text(since)),
        }
    if start is not None:
        # The party is the caller's own, so a forged key cannot lead into the rides of another.
        place = {name: text(start[name]) for name in CONTINUES}
        query["ExclusiveStartKey"] = {party.attribute: text(party.name), **place}
    return query


def _place_of(ride: Ride) -> dict[str, str]:
    """The key of the next page, which begins after this ride."""
    return {"ride_id": ride.ride_id, "requested_at": instant_text(ride.requested_at)}
