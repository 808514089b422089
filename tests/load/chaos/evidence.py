"""The evidence of a run: its history, both tables, and the rides that still wait in Redis."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from service.model import Ride, Unicorn
from service.stores.dynamodb.items import ACCOUNT_PREFIX, ride_from, unicorn_from
from service.stores.records import record_of, value_of
from service.stores.redis import keys
from tests.load.chaos import history
from tests.load.chaos.cluster import Cluster
from tests.load.chaos.history import Entry, History

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence that the checker judges."""

    history: Sequence[Entry]
    rides: Sequence[Ride]
    unicorns: Sequence[Unicorn]
    waiting: Collection[str] = ()
    """Ids in the waiting sets of all zones."""
    indexed: Collection[str] = ()
    """Ids in the index of open rides."""

    def noted(self, what: str) -> Sequence[Entry]:
        """The entries of one kind."""
        return [entry for entry in self.history if entry["what"] == what]

    @property
    def habits(self) -> Mapping[str, str]:
        """How each unicorn behaves."""
        return {entry["unicorn_id"]: entry["habit"] for entry in self.noted("habit")}


def note_what_is_left(cluster: Cluster) -> None:
    """Append the end state to the history, once nothing changes any more."""
    client, settings = cluster.aws.dynamodb_client(), cluster.settings
    rides = map(ride_from, _scan(client, TableName=settings.rides_table))
    unicorns = (
        unicorn_from(item)
        for item in _scan(client, TableName=settings.unicorns_table)
        if not item["unicorn_id"]["S"].startswith(ACCOUNT_PREFIX)
    )
    note(cluster.history, rides, unicorns)
    cluster.history.add("indexed", ride_ids=open_rides(cluster))
    cluster.history.add("waiting", ride_ids=sorted(_waiting(cluster.redis.url)))


def open_rides(cluster: Cluster) -> list[str]:
    """Ids in the index of open rides."""
    client, table = cluster.aws.dynamodb_client(), cluster.settings.rides_table
    return [item["ride_id"]["S"] for item in _scan(client, TableName=table, IndexName="open_rides")]


def note(to: History, rides: Iterable[Ride], unicorns: Iterable[Unicorn]) -> None:
    """Append stored rides and unicorns to a history."""
    for ride in rides:
        to.add("stored_ride", record=record_of(ride))
    for unicorn in unicorns:
        to.add("stored_unicorn", record=record_of(unicorn))


def read(path: Path) -> Evidence:
    """The evidence in a history, which includes the end state."""
    entries = history.read(path)
    found: dict[str, list[Any]] = {}
    for entry in entries:
        found.setdefault(entry["what"], []).append(entry)
    return Evidence(
        history=entries,
        rides=[value_of(Ride, entry["record"]) for entry in found.get("stored_ride", ())],
        unicorns=[value_of(Unicorn, entry["record"]) for entry in found.get("stored_unicorn", ())],
        waiting={name for entry in found.get("waiting", ()) for name in entry["ride_ids"]},
        indexed={name for entry in found.get("indexed", ()) for name in entry["ride_ids"]},
    )


def _scan(client: DynamoDBClient, **where: str) -> Iterator[Any]:
    for page in client.get_paginator("scan").paginate(**where):  # type: ignore[arg-type]
        yield from page["Items"]


def _waiting(url: str) -> Iterator[str]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        for name in client.scan_iter(keys.waiting("*")):
            yield from client.hkeys(name)
