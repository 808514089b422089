"""The whole fleet, page by page.

A listing of everything is the one thing a scan is right for: each page reads just what it shows,
and the items that say who drives what.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from service.model import Page, Unicorn
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.items import text, unicorn_from
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import ScanInputTypeDef

PAGES: Final = 4
"""Pages read in one call, however few unicorns they have (the rest are items of accounts)."""


class DynamoRoster(TableStore):
    """`Roster` on the table of unicorns."""

    def unicorns(self, *, limit: int, start: Mapping[str, str] | None) -> Page[Unicorn]:
        asked: ScanInputTypeDef = {
            "TableName": self._table,
            # Items of accounts have no version.
            "FilterExpression": "attribute_exists(version)",
            "ConsistentRead": True,
        }
        if start is not None:
            asked["ExclusiveStartKey"] = {"unicorn_id": text(start["unicorn_id"])}
        found: list[Unicorn] = []
        for page in count(1):
            asked["Limit"] = limit - len(found)
            answer = patiently(partial(self._client.scan, **asked), self._patience)
            found += map(unicorn_from, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            asked["ExclusiveStartKey"] = last = answer["LastEvaluatedKey"]
            if len(found) == limit or page == PAGES:
                return Page(tuple(found), {"unicorn_id": last["unicorn_id"]["S"]})
        return Page(tuple(found))
