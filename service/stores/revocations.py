"""Stores revocations in DynamoDB; each process of the API keeps a copy of the whole set.

Changes are numbered, and an item for each number says what was revoked. Every second a process
reads the number of the last change, and the changes since its last read. An announcement makes it
read at once. So a request needs no remote call, a lost announcement costs a second, Redis is not
needed, and the cost does not depend on what else the table holds. A process that could not read for
`BELIEVED_SECONDS` treats tokens that are not in its set as uncertain.

A process scans the table at its start, after more than a hundred changes at once, when its set has
grown past `MOST_KEPT`, and when a change has no item: the previous release made it, or it is not
visible yet. Until the scan is done, if there are more than `MOST_KEPT` revocations, and in the
gateway's function, each token is looked up.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from service.auth.revocation import Identifier, RevocationSet
from service.background import BackgroundCopy
from service.model.errors import Unavailable
from service.stores.dynamodb.calls import BATCH, FIRST_PAUSE_SECONDS, ConditionFailed, Patience
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore
from service.stores.dynamodb.updates import new_write_id
from service.stores.records import instant_of, instant_text

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item

logger = logging.getLogger(__name__)

TOPIC: Final = "revocations"
READ_EVERY_SECONDS: Final = 1.0
BELIEVED_SECONDS: Final = 4.0
"""How long after the start of a read its result is believed; less than the promised 5 s."""
VISIBLE_WITHIN_SECONDS: Final = 0.5
"""A read this long after a change was counted finds its item."""
MOST_KEPT: Final = 10_000
"""The most revocations that a process keeps: about 4 MB."""
REREAD_SECONDS: Final = 600.0
"""How often the table is scanned while it has more than `MOST_KEPT` revocations. In between nothing
is read."""

ITEMS_PER_PAGE: Final = 1000
"""The most items on a page. A page takes 16 ms of CPU, in which the process does nothing else."""

_PREFIX: Final = "revocation#"
_LAST_CHANGE: Final = "revocation-changes"
_REVOCATION: Final = 0
_NUMBER: Final = 2
"""Positions in the transaction that stores a revocation."""


class DynamoRevocations(TableStore):
    """Revocations by kind (`jti`, `origin_jti` or `sub`) and value, on the table of operations.

    Each method may raise `Unavailable`. An item may stay for days after it has expired (AWS, "Time
    to Live"), so readers check the instant.
    """

    _last_change = 0
    """The number of the last change, as this object last saw it."""

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Store a revocation from `revoked_at` on, unless a later one is stored.

        One remote call; a second one if this object has not seen the last change, and more if
        others store revocations at the same moment.
        """
        item: Item = {
            "operation_id": text(_name(kind, value)),
            "kind": text(kind),
            "value": text(value),
            "revoked_at": text(instant_text(revoked_at)),
            "expires_at": {"N": str(math.ceil(expires_at.timestamp()))},
        }
        patience = Patience(self._patience)
        while True:
            number, write_id = self._last_change + 1, new_write_id()
            try:
                patience.make(lambda: self._put_as(number, item, write_id))  # noqa: B023
            except ConditionFailed as failed:
                if _REVOCATION in failed.stored:
                    return
                self._last_change = _number(failed.stored[_NUMBER])
                # Another change took the number, so a longer pause would gain nothing.
                patience.wait(failed, FIRST_PAUSE_SECONDS)
            else:
                self._last_change = number
                return

    def _put_as(self, number: int, item: Item, write_id: str) -> None:
        """Store a revocation as the change of this number, if the last one has the number before.

        In one transaction, so that each number has its change (but see `_scan_when_visible`).
        """
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
                {"Put": {"TableName": self._table, "Item": item | self._key(_change(number))}},
                {
                    "Update": {
                        "TableName": self._table,
                        "Key": self._key(_LAST_CHANGE),
                        "UpdateExpression": "SET changes = :number",
                        "ConditionExpression": (
                            "attribute_not_exists(changes) OR changes = :before"
                        ),
                        "ExpressionAttributeValues": {
                            ":number": {"N": str(number)},
                            ":before": {"N": str(number - 1)},
                        },
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
            ],
        )

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """The instant from which each of these (kind to value) is revoked; others are absent.

        One remote call.
        """
        items = self._items_of([_name(kind, value) for kind, value in identifiers.items()])
        return {kind: since for (kind, _), since in _revoked(items, now).items()}

    def last_change(self) -> int:
        """The number of the last change; 0 if there was none. One remote call."""
        self._last_change = _number(self._stored(_LAST_CHANGE) or {})
        return self._last_change

    def changed(
        self, after: int, until: int, now: datetime
    ) -> Mapping[Identifier, datetime] | None:
        """What the changes `after` + 1 to `until` revoked, and since when.

        None if a change has no item, or if there are more than `BATCH`. At most one remote call.
        """
        if until - after > BATCH:
            return None
        items = list(self._items_of([_change(number) for number in range(after + 1, until + 1)]))
        return _revoked(items, now) if len(items) == until - after else None

    def read_all(self, now: datetime, most: int) -> Mapping[Identifier, datetime] | None:
        """The instant since which each identifier is revoked; None if there are more than `most`.

        Reads the whole table consistently, at most a thousand items with each call.
        """
        found: dict[Identifier, datetime] = {}
        scan = {
            "FilterExpression": "begins_with(operation_id, :prefix)",
            "ExpressionAttributeValues": {":prefix": text(_PREFIX)},
            "ConsistentRead": True,
            "Limit": ITEMS_PER_PAGE,
        }
        for page in self._pages(self._client.scan, scan):
            found |= _revoked(page["Items"], now)
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
        self._lock = threading.Lock()
        """Held while `_copy` is replaced, so that no revocation is lost."""
        self._known_to: int | None = None
        """The number of the last change that the copy has; None if the table must be scanned."""
        self._scan_to: int | None = None
        """The number of the last change that the next scan will find."""
        self._scan_from = -math.inf
        """The monotonic instant from which a scan finds that change for certain."""
        self._next_scan_at = -math.inf

    def current(self) -> RevocationSet:
        """The process's copy. No remote call."""
        return self._copy

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """As `DynamoRevocations.lookup`: one remote call."""
        return self._stored.lookup(identifiers, now)

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Store and announce a revocation; it holds here at once and elsewhere within seconds.

        Two remote calls, as a rule. Raises `Unavailable` if it could not be stored.
        """
        self._stored.put(kind, value, revoked_at=revoked_at, expires_at=expires_at)
        with self._lock:
            self._copy = self._copy.with_more({(kind, value): revoked_at})
        try:
            self._announce(TOPIC)
        except Unavailable as error:
            logger.info("revocation not announced", extra={"cause": str(error)})

    def refresh(self) -> None:
        """Read the changes since the last read; if that is not enough, prepare or make a scan.

        One remote call; one more if something has changed, and for a scan one for each thousand
        items. Raises `Unavailable`.
        """
        began = self._monotonic()
        if began < self._next_scan_at:
            return
        last = self._stored.last_change()
        changed = None
        if self._known_to is not None:
            changed = self._stored.changed(self._known_to, last, self._now())
        if changed is None:
            self._scan_when_visible(last)
            return
        with self._lock:
            self._copy = self._copy.with_more(changed).believed_until(began + BELIEVED_SECONDS)
        self._scan_to = None
        # A set that has grown too large is scanned, which leaves out what has expired.
        self._known_to = last if len(self._copy.since) <= self._most else None

    def _scan_when_visible(self, last: int) -> None:
        """Let each token be looked up, and scan the table at a later call.

        The items of one transaction may become visible one after the other (AWS, "Amazon DynamoDB
        Transactions: How it works", isolation levels). So a change without an item may get it in a
        moment, and a scan finds for certain only the changes that were counted a while before.
        """
        with self._lock:
            before = self._copy = self._copy.believed_until(-math.inf)
        if self._scan_to is None:
            self._scan_to, self._scan_from = last, self._monotonic() + VISIBLE_WITHIN_SECONDS
        if self._monotonic() < self._scan_from:
            return
        found = self._stored.read_all(self._now(), self._most)
        with self._lock:
            own = dict(self._copy.since.items() - before.since.items())
            self._copy = RevocationSet(found or {}).with_more(own)
        self._known_to, self._scan_to = self._scan_to, None
        if found is None:
            self._known_to = None
            self._next_scan_at = self._monotonic() + REREAD_SECONDS
            logger.warning("more revocations than are kept", extra={"most": self._most})


def _name(kind: str, value: str) -> str:
    return f"{_PREFIX}{kind}#{value}"


def _change(number: int) -> str:
    """The key of a change's item. Earlier releases do not take it for a revocation's."""
    return f"revocation-change#{number}"


def _number(item: Item) -> int:
    return int(item["changes"]["N"]) if item else 0


def _revoked(items: Iterable[Item], now: datetime) -> dict[Identifier, datetime]:
    """The instants of the items that have not expired; of two for an identifier the later one."""
    return {
        (item["kind"]["S"], item["value"]["S"]): instant_of(item["revoked_at"]["S"])
        for item in sorted(items, key=lambda item: item["revoked_at"]["S"])
        if int(item["expires_at"]["N"]) > now.timestamp()
    }
