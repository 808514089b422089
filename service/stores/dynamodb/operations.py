"""Revocations in DynamoDB: which tokens, sessions and subjects are refused, and since when.

An item may stay for days after it expired (AWS, "Time to Live"), so readers look at the instant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from service.stores.dynamodb.calls import ConditionFailed, get_batch, patiently
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore
from service.stores.records import instant_of, instant_text

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item


class DynamoRevocations(TableStore):
    """Revocations by kind (`jti`, `origin_jti` or `sub`) and value. Raises `Unavailable`."""

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Refuse what `value` names from `revoked_at` on; an earlier instant changes nothing."""
        item: Item = {
            "operation_id": text(_key(kind, value)),
            "kind": text(kind),
            "value": text(value),
            "revoked_at": text(instant_text(revoked_at)),
            "expires_at": {"N": str(math.ceil(expires_at.timestamp()))},
        }
        try:
            patiently(
                lambda: self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression=(
                        "attribute_not_exists(operation_id) OR revoked_at < :revoked_at"
                    ),
                    ExpressionAttributeValues={":revoked_at": item["revoked_at"]},
                ),
                self._patience,
            )
        except ConditionFailed:
            return

    def lookup(self, marks: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """Since when each of these marks (kind to value) is revoked; the others are absent."""
        if not marks:
            return {}
        keys: list[Item] = [
            {"operation_id": text(_key(kind, value))} for kind, value in marks.items()
        ]
        items = get_batch(self._client, {self._table: keys}, self._patience)[self._table]
        return {
            item["kind"]["S"]: instant_of(item["revoked_at"]["S"])
            for item in items
            if int(item["expires_at"]["N"]) > now.timestamp()
        }


def _key(kind: str, value: str) -> str:
    return f"revocation#{kind}#{value}"
