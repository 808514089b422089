"""The index of open rides, in shards: which rides are due, and when they are due again.

An entry of the index has a ride's id, its `due_at`, its deadline and its unicorn; the rides
themselves are read in batches.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from service.model import Ride, RideStatus
from service.model.errors import Unavailable
from service.observability.instruments import PUT_BACK, REENQUEUED
from service.stores.dynamodb.calls import ConditionFailed, patiently, write
from service.stores.dynamodb.items import SHARDS, readable_rides, text
from service.stores.dynamodb.steps import EarliestWaiting
from service.stores.dynamodb.table import RideTable
from service.stores.dynamodb.updates import new_write_id, ride_update
from service.stores.records import instant_text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        BatchStatementRequestTypeDef,
        BatchStatementResponseTypeDef,
        UpdateTypeDef,
    )

    from service.stores.dynamodb.items import Item

QUERY_PAGE: Final = 100
"""The most items on a page of a query whose number of items is not known in advance."""
QUERY_MOST: Final = 1000
"""The most entries on any page of a query; DynamoDB also ends a page at 1 MB."""
SEARCH_PAGES: Final = 10
"""The most pages that are read, from the oldest entry on, to find rides that have a unicorn or
whose deadline has passed among a backlog of waiting rides."""
STATEMENTS: Final = 25
"""The most statements of one BatchExecuteStatement call (AWS, "BatchExecuteStatement")."""
LEFT_ALONE: Final = frozenset(
    {
        "ConditionalCheckFailed",
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
"""Errors of a statement that left the ride unchanged, so that it can be tried again."""
UNREADABLE_PAUSE: Final = timedelta(minutes=5)
"""How long an unreadable row is postponed. A release that can read it may be deployed meanwhile."""


class DueRides(RideTable):
    """The part of `Rides` that the sweep works with."""

    shards = SHARDS
    _waiting_metrics: Sequence[EarliestWaiting]

    def due(self, now: datetime, limit: int) -> Sequence[Ride]:
        queries = [self._due_query(shard, now, min(limit, QUERY_PAGE)) for shard in SHARDS]
        merged = heapq.merge(*map(self._query, queries), key=lambda entry: entry["due_at"]["S"])
        return self._still_due([_id(entry) for entry in islice(merged, limit)], now)

    def due_in_batches(
        self, shard: str, now: datetime, limit: int, size: int
    ) -> Iterator[Sequence[Ride]]:
        waiting: list[Ride] = []
        try:
            for rides in self._batches(shard, now, limit, size):
                waiting += (ride for ride in rides if ride.status is RideStatus.REQUESTED)
                yield rides
        finally:
            for metric in self._waiting_metrics:
                metric.note(waiting)

    def _batches(
        self, shard: str, now: datetime, limit: int, size: int
    ) -> Iterator[Sequence[Ride]]:
        oldest = list(
            islice(self._query(self._due_query(shard, now, min(limit, QUERY_MOST))), limit)
        )
        others = [_id(entry) for entry in oldest if not _only_waits(entry, now)]
        if not others and len(oldest) == limit:
            # All are waiting rides, and there may be more: search all entries for the others.
            query = _without_waiting(self._due_query(shard, now, QUERY_MOST))
            further = self._query(query, SEARCH_PAGES)
            others = [_id(entry) for entry in islice(further, limit)]
        waiting = [_id(entry) for entry in oldest if _only_waits(entry, now)]
        for ride_ids in (others, waiting):
            for first in range(0, len(ride_ids), size):
                yield self._still_due(ride_ids[first : first + size], now)

    def assigned(self, shard: str, after: datetime) -> Iterator[tuple[str, str]]:
        query = self._due_query(shard, after, QUERY_MOST)
        query["KeyConditionExpression"] = "#shard = :shard AND due_at > :now"
        for entry in self._query(query):
            if "unicorn_id" in entry:
                yield entry["ride_id"]["S"], entry["unicorn_id"]["S"]

    def postpone(self, ride: Ride, due_at: datetime, failed_looks: int = 0) -> bool:
        if ride.due_at is None:
            return False
        after = replace(ride, due_at=due_at, failed_looks=failed_looks)
        is_done = self._amend(ride, after, ("status", "due_at"))
        if is_done and failed_looks:
            PUT_BACK.inc()
        elif is_done and ride.status is RideStatus.REQUESTED:
            REENQUEUED.inc()
        return is_done

    def postpone_all(self, times: Sequence[tuple[Ride, datetime]]) -> Sequence[Ride]:
        write_id = text(new_write_id())
        moved: list[Ride] = []
        for first in range(0, len(times), STATEMENTS):
            chunk = times[first : first + STATEMENTS]
            statements = [self._postponing(ride, due_at, write_id) for ride, due_at in chunk]
            execute = partial(self._client.batch_execute_statement, Statements=statements)
            answer = patiently(execute, self._patience)
            moved += [
                replace(ride, due_at=due_at, failed_looks=0)
                for (ride, due_at), each in zip(chunk, answer["Responses"], strict=True)
                if _is_done(each, write_id)
            ]
        REENQUEUED.inc(sum(ride.status is RideStatus.REQUESTED for ride in moved))
        return moved

    def _postponing(
        self, ride: Ride, due_at: datetime, write_id: AttributeValueTypeDef
    ) -> BatchStatementRequestTypeDef:
        seen = instant_text(ride.due_at) if ride.due_at else ""
        return {
            "Statement": (
                f'UPDATE "{self._table}" SET due_at=? SET failed_looks=? SET last_write_id=?'  # noqa: S608 - our own table
                ' WHERE ride_id=? AND "status"=? AND due_at=?'
            ),
            "Parameters": [
                *(text(instant_text(due_at)), {"N": "0"}, write_id),
                *(text(ride.ride_id), text(ride.status), text(seen)),
            ],
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _still_due(self, ride_ids: Sequence[str], now: datetime) -> list[Ride]:
        """The rides of these ids that are still due, in this order. The index may be a moment old.

        An unreadable row is postponed, so that it does not hide the others.
        """
        found: dict[str, Ride] = {}
        for item in self._items_of(ride_ids, consistent=False):
            for ride in readable_rides([item]):
                found[ride.ride_id] = ride
            if item["ride_id"]["S"] not in found and "due_at" in item:
                self._postpone_unreadable(item, now + UNREADABLE_PAUSE)
        rides = (found[ride_id] for ride_id in ride_ids if ride_id in found)
        return [ride for ride in rides if ride.due_at and ride.due_at <= now]

    def _postpone_unreadable(self, item: Item, due_at: datetime) -> None:
        with suppress(ConditionFailed):
            self._updated(
                item["ride_id"]["S"],
                "SET due_at = :later",
                {":later": text(instant_text(due_at)), ":seen": item["due_at"]},
                ConditionExpression="due_at = :seen",
            )

    def _amend(self, before: Ride, after: Ride, guards: Sequence[str]) -> bool:
        """Write a change that no client sees, without a new version; False if a guard changed."""
        write_id = new_write_id()
        try:
            self._write(ride_update(self._table, before, after, write_id, guards), write_id)
        except ConditionFailed:
            return False
        return True

    def _write(self, update: UpdateTypeDef, write_id: str) -> None:
        write(lambda: self._client.update_item(**update), write_id, self._patience)

    def _due_query(self, shard: str, now: datetime, page: int) -> dict[str, Any]:
        return {
            "IndexName": "open_rides",
            "KeyConditionExpression": "#shard = :shard AND due_at <= :now",
            "ExpressionAttributeNames": {"#shard": "shard"},
            "ExpressionAttributeValues": {":shard": text(shard), ":now": text(instant_text(now))},
            "Limit": page,
        }


def _id(entry: Item) -> str:
    return entry["ride_id"]["S"]


def _only_waits(entry: Item, now: datetime) -> bool:
    """`Ride.only_waits`, from the attributes of the index alone."""
    return "unicorn_id" not in entry and entry["deadline_at"]["S"] > instant_text(now)


def _without_waiting(query: dict[str, Any]) -> dict[str, Any]:
    """The query without rides that only wait for a round (`Ride.only_waits`)."""
    return {**query, "FilterExpression": "attribute_exists(unicorn_id) OR deadline_at <= :now"}


def _is_done(answer: BatchStatementResponseTypeDef, write_id: AttributeValueTypeDef) -> bool:
    """Whether the statement was carried out, now or before its answer was lost.

    False if the ride has changed or DynamoDB was busy; the next sweep finds a ride that is still
    due. Raises `Unavailable` if DynamoDB refuses such statements.
    """
    error = answer.get("Error")
    if error is None:
        return True
    if error["Code"] not in LEFT_ALONE:
        raise Unavailable(f"DynamoDB: {error['Code']}")
    return error.get("Item", {}).get("last_write_id") == write_id
