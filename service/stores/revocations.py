"""Stores revocations in DynamoDB; each process of the API keeps a copy of the whole set.

Every second a process reads one item, which counts the changes, and the whole set if the count has
changed. An announcement makes it read at once. So a request needs no remote call, a lost
announcement costs a second, and Redis is not needed. A process that could not read for
`BELIEVED_SECONDS` treats tokens that are not in its set as uncertain.

The set has a limit. Beyond it, and in the gateway's function, each token is looked up.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from service.auth.revocation import Identifier, RevocationSet
from service.background import BackgroundCopy
from service.model.errors import Unavailable
from service.stores.dynamodb.calls import ConditionFailed, patiently
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore
from service.stores.records import instant_of, instant_text

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item

logger = logging.getLogger(__name__)

TOPIC: Final = "revocations"
READ_EVERY_SECONDS: Final = 1.0
BELIEVED_SECONDS: Final = 4.0
"""How long after the start of a read its result is believed; less than the promised 5 s."""
MOST_KEPT: Final = 10_000
"""The most revocations that a process keeps: about 4 MB, and 400 read units for reading them."""
REREAD_SECONDS: Final = 3.0
REREAD_SECONDS_EACH: Final = 0.05
"""The whole set is also read without a change: after three seconds, or after this time for each
revocation if that is longer, so that it costs about one read unit a second whatever its size. This
finds revocations of a release that does not count its changes."""

ITEMS_PER_PAGE: Final = 1000
"""The most items on a page. A page takes 16 ms of CPU, in which the process does nothing else."""

_PREFIX: Final = "revocation#"
_CHANGES: Final = "revocation-changes"


class DynamoRevocations(TableStore):
    """Revocations by kind (`jti`, `origin_jti` or `sub`) and value, on the table of operations.

    Each method makes one remote call, `read_all` one for each thousand items. All may raise
    `Unavailable`. An item may stay for days after it has expired (AWS, "Time to Live"), so readers
    check the instant.
    """

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Store a revocation from `revoked_at` on, unless a later one is stored."""
        item: Item = {
            "operation_id": text(_name(kind, value)),
            "kind": text(kind),
            "value": text(value),
            "revoked_at": text(instant_text(revoked_at)),
            "expires_at": {"N": str(math.ceil(expires_at.timestamp()))},
        }
        write_id = uuid.uuid4().hex
        try:
            patiently(lambda: self._put_and_count(item, write_id), self._patience)
        except ConditionFailed:
            return

    def _put_and_count(self, item: Item, write_id: str) -> None:
        """Write item and count in one transaction; otherwise other processes might find it late."""
        self._client.transact_write_items(
            ClientRequestToken=write_id,
            TransactItems=[
                {
                    "Put": {
                        "TableName": self._table,
                        "Item": item,
                        "ConditionExpression": (
                            "attribute_not_exists(operation_id) OR revoked_at < :revoked_at"
                        ),
                        "ExpressionAttributeValues": {":revoked_at": item["revoked_at"]},
                    }
                },
                {
                    "Update": {
                        "TableName": self._table,
                        "Key": self._key(_CHANGES),
                        "UpdateExpression": "ADD changes :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
            ],
        )

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """The instant from which each of these (kind to value) is revoked; others are absent."""
        items = self._items_of([_name(kind, value) for kind, value in identifiers.items()])
        return {item["kind"]["S"]: _revoked_at(item) for item in items if _holds(item, now)}

    def changes(self) -> str:
        """A text that differs after each change."""
        item = self._stored(_CHANGES)
        return item["changes"]["N"] if item else ""

    def read_all(self, now: datetime, most: int) -> Mapping[Identifier, datetime] | None:
        """The instant since which each identifier is revoked; None if there are more than `most`.

        Reads consistently.
        """
        found: dict[Identifier, datetime] = {}
        # A scan, because the table holds little else (dead letters, the pause and so on).
        scan = {
            "FilterExpression": "begins_with(operation_id, :prefix)",
            "ExpressionAttributeValues": {":prefix": text(_PREFIX)},
            "ConsistentRead": True,
            "Limit": ITEMS_PER_PAGE,
        }
        for page in self._pages(self._client.scan, scan):
            for item in page["Items"]:
                if _holds(item, now):
                    found[item["kind"]["S"], item["value"]["S"]] = _revoked_at(item)
            if len(found) > most:
                return None
        return found


class KnownRevocations(BackgroundCopy):
    """The process's copy of all revocations, kept from `start` on; `put` announces new ones."""

    def __init__(
        self,
        stored: DynamoRevocations,
        announce: Callable[[str], None],
        now: Callable[[], datetime],
        *,
        most: int = MOST_KEPT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("reading revocations", READ_EVERY_SECONDS)
        self._stored = stored
        self._announce = announce
        self._now = now
        self._most = most
        self._monotonic = monotonic
        self._copy = RevocationSet()
        self._puts = 0
        self._seen_changes: str | None = None
        self._reread_at = -math.inf

    def current(self) -> RevocationSet:
        """The process's copy. No remote call."""
        return self._copy

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """As `DynamoRevocations.lookup`: one remote call."""
        return self._stored.lookup(identifiers, now)

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Store and announce a revocation; it holds here at once and elsewhere within seconds.

        Two remote calls. Raises `Unavailable` if it could not be stored.
        """
        self._stored.put(kind, value, revoked_at=revoked_at, expires_at=expires_at)
        self._puts += 1
        self._copy = self._copy.with_one((kind, value), revoked_at)
        try:
            self._announce(TOPIC)
        except Unavailable as error:
            logger.info("revocation not announced", extra={"cause": str(error)})

    def refresh(self) -> None:
        """Read the count of changes, and the whole set if it has changed or is due for a reread.

        One remote call, and for the whole set one more for each thousand items. Raises
        `Unavailable`.
        """
        began, puts = self._monotonic(), self._puts
        changes = self._stored.changes()
        latest = self._copy
        if began >= self._reread_at or (changes != self._seen_changes and not latest.is_cut_off):
            latest = self._read_all(began)
        # If this process revoked something during the read, the answer may be older: drop it.
        if puts == self._puts:
            self._copy = latest.believed_until(began + BELIEVED_SECONDS)
            self._seen_changes = changes

    def _read_all(self, began: float) -> RevocationSet:
        found = self._stored.read_all(self._now(), self._most)
        count = self._most if found is None else len(found)
        self._reread_at = began + max(REREAD_SECONDS, count * REREAD_SECONDS_EACH)
        if found is None:
            logger.warning("more revocations than are kept", extra={"most": self._most})
            return RevocationSet(is_cut_off=True)
        return RevocationSet(found)


def _name(kind: str, value: str) -> str:
    return f"{_PREFIX}{kind}#{value}"


def _holds(item: Item, now: datetime) -> bool:
    return int(item["expires_at"]["N"]) > now.timestamp()


def _revoked_at(item: Item) -> datetime:
    return instant_of(item["revoked_at"]["S"])
