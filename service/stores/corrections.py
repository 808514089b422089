"""Stores what each zone has learned about travel times: one item per zone and kind in DynamoDB.

So if Redis loses its data, only the legs from which the zone has not learned yet are lost.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from service.background import BackgroundCopy
from service.matching.correction import KNOTS, Correction, Kind
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore
from service.stores.entries import readable
from service.stores.records import value_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.core.travel_times import Corrections

READ_EVERY_SECONDS: Final = 30.0
"""A fit changes every coefficient by a small step, so half a minute of delay does no harm."""
LARGEST_TERM: Final = 4.0
"""The largest credible size of a term, a factor of 55. What legs teach stays far below it."""
MOST_ZONES: Final = 512
"""A process keeps the corrections of about this many zones at most."""


class DynamoCorrections(TableStore):
    """Corrections of one base estimate. The estimate is part of the key, because corrections of
    straight lines do not hold for a routing engine. Each method makes one remote call and may raise
    `Unavailable`."""

    def __init__(self, client: DynamoDBClient, table: str, base: str) -> None:
        super().__init__(client, table)
        self._base = base

    def of(self, zone: str, kind: Kind) -> Correction | None:
        item = self._stored(self._name(zone, kind))
        stored = (item or {}).get("correction", {})
        return readable("correction", _load, stored.get("S"))

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        terms = text(json.dumps(asdict(correction)))
        self._put(self._key(self._name(zone, kind)) | {"correction": terms})

    def _name(self, zone: str, kind: Kind) -> str:
        return f"times#{self._base}#{zone}#{kind}"


class KnownCorrections(BackgroundCopy):
    """A copy of the corrections in this process. Reading it makes no remote call.

    A zone is read in the background after it was first needed; until then it has no correction.
    """

    def __init__(
        self, stored: Corrections, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("reading travel times", READ_EVERY_SECONDS)
        self._stored = stored
        self._monotonic = monotonic
        self._new: set[tuple[str, Kind]] = set()
        self._all_due_at = monotonic()
        self._copy: LRUCache[tuple[str, Kind], Correction | None] = LRUCache(2 * MOST_ZONES)
        self._lock = Lock()

    def of(self, zone: str, kind: Kind) -> Correction | None:
        with self._lock:
            if (zone, kind) in self._copy:
                return self._copy[zone, kind]
            self._copy[zone, kind] = None
            self._new.add((zone, kind))
        self.hurry()
        return None

    def refresh(self) -> None:
        """Read the new zones, or all if their last reading was `READ_EVERY_SECONDS` ago.

        One remote call per zone and kind. Raises `Unavailable`.
        """
        now = self._monotonic()
        is_all_due = now >= self._all_due_at
        with self._lock:
            needed = [each for each in self._copy if is_all_due or each in self._new]
            self._new.clear()
        for zone, kind in needed:
            correction = self._stored.of(zone, kind)
            with self._lock:
                self._copy[zone, kind] = correction
        if is_all_due:
            self._all_due_at = now + READ_EVERY_SECONDS


def _load(text: str) -> Correction:
    correction = value_of(Correction, json.loads(text))
    if not _is_sound(correction):
        raise ValueError("impossible terms")
    return correction


def _is_sound(correction: Correction) -> bool:
    effects = correction.by_origin, correction.by_destination, correction.by_hour
    terms = [*correction.by_distance, *correction.by_direction]
    terms += (term for each in effects for term in each.values())
    terms.append(math.log(correction.pace) if correction.pace > 0 else math.nan)
    shape = len(correction.by_distance), len(correction.by_direction)
    # NaN is in no range.
    are_possible = all(-LARGEST_TERM <= term <= LARGEST_TERM for term in terms)
    return shape == (len(KNOTS), 4) and are_possible and 0 < correction.spread <= LARGEST_TERM
