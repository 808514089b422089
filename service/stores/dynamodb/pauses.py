"""Where dispatch is paused, in one item that outlives any Redis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from service.model.operations import Pause
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import UpdateItemInputTypeDef

    from service.stores.dynamodb.items import Item

_KEY: Final = "dispatch#pause"


class DynamoPauses(TableStore):
    """The truth about the pause, on the table of operations. Raises `Unavailable`."""

    def current(self) -> Pause:
        """The pause as stored, read consistently."""
        return _pause(self._stored({"operation_id": text(_KEY)}) or {})

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Each change names only what it changes, so two at once do not undo one another."""
        asked: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": {"operation_id": text(_KEY)},
            "ReturnValues": "ALL_NEW",
        }
        if zone is not None:
            asked["UpdateExpression"] = "ADD zones :zones" if paused else "DELETE zones :zones"
            asked["ExpressionAttributeValues"] = {":zones": {"SS": [zone]}}
        else:
            everything = "SET everywhere = :paused"
            asked["UpdateExpression"] = everything if paused else f"{everything} REMOVE zones"
            asked["ExpressionAttributeValues"] = {":paused": {"BOOL": paused}}
        answer = patiently(partial(self._client.update_item, **asked), self._patience)
        return _pause(answer["Attributes"])


def _pause(item: Item) -> Pause:
    everywhere = item.get("everywhere", {}).get("BOOL", False)
    return Pause(everywhere, frozenset(item.get("zones", {}).get("SS", ())))
