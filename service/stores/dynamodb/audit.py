"""Stores the changes of staff in DynamoDB: one item per action, newest first, with expiry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from service.model import Page
from service.model.operations import AuditEntry
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import Kind, ListedStore
from service.stores.records import instant_of

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item

AUDIT: Final = Kind("audit", "audit#", timedelta(days=90))
"""Kept long enough to look into a complaint. The log has the same lines."""

_TEXTS: Final = ("action", "sub", "client_id", "request_id", "method", "route")


class DynamoAuditLog(ListedStore):
    """`AuditLog` on the table of operations. Raises `Unavailable`."""

    kind = AUDIT

    def put(self, entry: AuditEntry) -> None:
        held = {name: getattr(entry, name) for name in _TEXTS}
        attributes: Item = {name: text(value) for name, value in held.items() if value}
        attributes["subjects"] = {"M": {n: text(value) for n, value in entry.subjects.items()}}
        self._put(entry.audit_id, entry.at, attributes)

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[AuditEntry]:
        return self._newest(_entry, limit, start)


def _entry(item: Item) -> AuditEntry:
    held = {name: item[name]["S"] if name in item else None for name in _TEXTS}
    return AuditEntry(
        audit_id=AUDIT.name(item),
        at=instant_of(item["set_aside_at"]["S"]),
        subjects={name: value["S"] for name, value in item["subjects"]["M"].items()},
        **held,  # type: ignore[arg-type]
    )
