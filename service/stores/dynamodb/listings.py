"""Listings for staff: all rides by time, and the whole fleet.

Rides come from the index `by_day`, newest first, without a scan. A day's rides lie in as many
partitions as there are shards, each in order of time; they are merged as they are read. The index
holds keys only, and the rides themselves are read in batches.

The fleet is listed by a scan, which suits a listing of everything: a page reads the unicorns that
it shows, and the account items between them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count, groupby, islice
from typing import Final, NamedTuple

from service.model import Page, Ride, RideStatus, Unicorn
from service.stores.dynamodb.calls import BATCH
from service.stores.dynamodb.items import SHARDS, readable_unicorn, text
from service.stores.dynamodb.table import RideTable, TableStore
from service.stores.records import instant_of, instant_text

MOST_READ: Final = 1000
"""The most rides that one call reads, however few of them have the wanted status."""
MOST_DAYS_READ: Final = 31
"""The most days that one call searches, however few rides they have."""
BEFORE_ALL_IDS: Final = "-"
"""Sorts before every ride id."""

PAGES_SCANNED: Final = 4
"""The most pages of the fleet that one call reads, however few unicorns they have."""


class Place(NamedTuple):
    """The place of a ride in the listing."""

    requested_at: str
    ride_id: str


class DynamoRideHistory(RideTable):
    """`RideHistory` on the table of rides."""

    def newest(
        self,
        *,
        since: datetime,
        until: datetime,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
    ) -> Page[Ride]:
        last = Place(start["requested_at"], start["ride_id"]) if start else None
        until = min(until, instant_of(last.requested_at)) if last else until
        if since > until:
            return Page(())
        oldest_day = max(since, until - timedelta(days=MOST_DAYS_READ - 1)).astimezone(UTC).date()
        reach = max(since, datetime.combine(oldest_day, datetime.min.time(), UTC))
        places = (p for p in self._places(reach, until) if last is None or p < last)
        found: list[Ride] = []
        read = 0
        while batch := list(islice(places, min(BATCH, MOST_READ - read))):
            read += len(batch)
            found += self._rides([place.ride_id for place in batch], status)
            if len(found) > limit:
                return Page(tuple(found[:limit]), _key(_place(found[limit - 1])))
            if read >= MOST_READ:
                return Page(tuple(found), _key(batch[-1]))
        further = _key(Place(instant_text(reach), BEFORE_ALL_IDS)) if reach > since else None
        return Page(tuple(found), further)

    def _places(self, since: datetime, until: datetime) -> Iterator[Place]:
        """The places of all rides in the time span, newest first."""
        day = until.astimezone(UTC).date()
        while day >= since.astimezone(UTC).date():
            shards = [self._keys_of(f"{day}#{shard}", since, until) for shard in SHARDS]
            merged = heapq.merge(*shards, key=lambda place: place.requested_at, reverse=True)
            # The index has no order among rides of the same millisecond.
            for _, same in groupby(merged, key=lambda place: place.requested_at):
                yield from sorted(same, reverse=True)
            day -= timedelta(days=1)

    def _keys_of(self, day_shard: str, since: datetime, until: datetime) -> Iterator[Place]:
        query = {
            "IndexName": "by_day",
            "KeyConditionExpression": (
                "day_shard = :day_shard AND requested_at BETWEEN :since AND :until"
            ),
            "ExpressionAttributeValues": {
                ":day_shard": text(day_shard),
                ":since": text(instant_text(since)),
                ":until": text(instant_text(until)),
            },
            "ScanIndexForward": False,
            "Limit": BATCH,
        }
        for item in self._query(query):
            yield Place(item["requested_at"]["S"], item["ride_id"]["S"])


class DynamoRoster(TableStore):
    """`Roster` on the table of unicorns."""

    key = "unicorn_id"

    def unicorns(self, *, limit: int, start: Mapping[str, str] | None) -> Page[Unicorn]:
        further = {} if start is None else {"ExclusiveStartKey": self._key(start["unicorn_id"])}
        found: list[Unicorn] = []
        for page in count(1):
            answer = self._call(
                self._client.scan,
                # Items of accounts have no version.
                FilterExpression="attribute_exists(version)",
                ConsistentRead=True,
                Limit=limit - len(found),
                **further,
            )
            found += filter(None, map(readable_unicorn, answer["Items"]))
            last = answer.get("LastEvaluatedKey")
            if last is None:
                break
            if len(found) == limit or page == PAGES_SCANNED:
                return Page(tuple(found), {"unicorn_id": last["unicorn_id"]["S"]})
            further = {"ExclusiveStartKey": last}
        return Page(tuple(found))


def _place(ride: Ride) -> Place:
    return Place(instant_text(ride.requested_at), ride.ride_id)


def _key(place: Place) -> dict[str, str]:
    return {"requested_at": place.requested_at, "ride_id": place.ride_id}
