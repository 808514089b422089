"""What each zone has learned about travel times: an item per zone and kind in DynamoDB.

So the loss of Redis loses legs that were not learned from yet, and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from cachetools import LRUCache

from service.background import Repeated
from service.matching.correction import KNOTS, Correction, Kind
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore
from service.stores.entries import UNREADABLE, note_unreadable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.core.times import Corrections
    from service.stores.dynamodb.items import Item

READ_EVERY_SECONDS: Final = 30.0
"""A fit moves every coefficient by a small step: half a minute late does no harm."""
MOST_ZONES: Final = 512
"""That one process looks after at a time."""


class DynamoCorrections(TableStore):
    """Corrections of one kind of base estimate, which is a part of the key: what was learned about
    straight lines says nothing about a routing engine. Each call is one remote call and may raise
    `Unavailable`."""

    def __init__(self, client: DynamoDBClient, table: str, base: str) -> None:
        super().__init__(client, table)
        self._base = base

    def of(self, zone: str, kind: Kind) -> Correction | None:
        item = self._stored(self._key(zone, kind))
        return _correction(item["correction"]["S"]) if item and "correction" in item else None

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        item = self._key(zone, kind) | {"correction": text(json.dumps(asdict(correction)))}
        put = partial(self._client.put_item, TableName=self._table, Item=item)
        patiently(put, self._patience)

    def _key(self, zone: str, kind: Kind) -> Item:
        return {"operation_id": text(f"times#{self._base}#{zone}#{kind}")}


class KnownCorrections:
    """`Corrections` that a process knows by heart. Reading costs no remote call.

    A zone is learned of after it was first asked for: until then nothing is known of it.
    """

    def __init__(self, stored: Corrections) -> None:
        self._stored = stored
        self._known: LRUCache[tuple[str, Kind], Correction | None] = LRUCache(2 * MOST_ZONES)
        self._lock = Lock()
        self._reading = Repeated("reading travel times", self.refresh, READ_EVERY_SECONDS)

    def start(self) -> Self:
        """Begin to read in the background. Call after any fork."""
        self._reading.start()
        return self

    def close(self) -> None:
        """End the reading."""
        self._reading.close()

    def of(self, zone: str, kind: Kind) -> Correction | None:
        with self._lock:
            if (zone, kind) in self._known:
                return self._known[zone, kind]
            self._known[zone, kind] = None
        self._reading.hurry()
        return None

    def refresh(self) -> None:
        """Read what is asked for: a remote call per zone and kind. Raises `Unavailable`."""
        with self._lock:
            asked = list(self._known)
        for zone, kind in asked:
            correction = self._stored.of(zone, kind)
            with self._lock:
                self._known[zone, kind] = correction


def _correction(stored: str) -> Correction | None:
    """None for what this release cannot read or believe: the zone then has learned nothing."""
    try:
        fields = json.loads(stored)
        correction = Correction(
            by_distance=tuple(map(float, fields["by_distance"])),
            by_direction=tuple(map(float, fields["by_direction"])),
            by_origin=_numbers(fields["by_origin"]),
            by_destination=_numbers(fields["by_destination"]),
            by_hour=_numbers(fields["by_hour"]),
            spread=float(fields["spread"]),
        )
    except (*UNREADABLE, TypeError, AttributeError) as error:
        note_unreadable("correction", error)
        return None
    return correction if _is_sound(correction) else None


def _is_sound(correction: Correction) -> bool:
    numbers = [*correction.by_distance, *correction.by_direction, correction.spread]
    shape = len(correction.by_distance), len(correction.by_direction)
    return shape == (len(KNOTS), 4) and all(map(math.isfinite, numbers))


def _numbers(stored: Mapping[str, object]) -> dict[str, float]:
    return {str(key): float(str(value)) for key, value in stored.items()}
