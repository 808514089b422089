"""Where dispatch is paused: one item in DynamoDB, which every process reads once a second.

A change counts everywhere within two seconds. Requests and rounds read the process's memory only.
If DynamoDB cannot be read, what was last known holds: a pause must not end, and dispatch must not
stop, because nobody can say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Self

from service.background import Repeated
from service.model import Weight
from service.model.operations import Pause
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import UpdateItemInputTypeDef

    from service.core.ports import Pauses
    from service.stores.dynamodb.items import Item

READ_EVERY_SECONDS: Final = 1.0
FIRST_READ_SECONDS: Final = 1.0
"""How long a process that starts waits for the first read; with DynamoDB away it starts unpaused.
Below the 4 s that Celery gives a pool child to start."""

_KEY: Final = "dispatch#pause"
_WEIGHT: Final = "weight#"
"""Begins the names of the attributes that hold weights; a zone's ends in the zone."""


class DynamoPauses(TableStore):
    """`Pauses` without a memory. Each call is one remote call and may raise `Unavailable`."""

    def current(self) -> Pause:
        """The pause as stored, read consistently."""
        return _pause(self._stored({"operation_id": text(_KEY)}) or {})

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Each change names only what it changes, so two at once do not undo one another."""
        update: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": {"operation_id": text(_KEY)},
            "ReturnValues": "ALL_NEW",
        }
        if zone is not None:
            update["UpdateExpression"] = "ADD zones :zones" if paused else "DELETE zones :zones"
            update["ExpressionAttributeValues"] = {":zones": {"SS": [zone]}}
        else:
            everything = "SET everywhere = :paused"
            update["UpdateExpression"] = everything if paused else f"{everything} REMOVE zones"
            update["ExpressionAttributeValues"] = {":paused": {"BOOL": paused}}
        return self._updated(update)

    def reposition(self, zone: str | None, weight: Weight) -> Pause:
        """A zone's weight is an attribute of its own, so two changes do not undo one another."""
        return self._updated(
            {
                "TableName": self._table,
                "Key": {"operation_id": text(_KEY)},
                "ReturnValues": "ALL_NEW",
                "UpdateExpression": "SET #weight = :weight",
                "ExpressionAttributeNames": {"#weight": f"{_WEIGHT}{zone or ''}"},
                "ExpressionAttributeValues": {":weight": text(weight)},
            }
        )

    def _updated(self, update: UpdateItemInputTypeDef) -> Pause:
        answer = patiently(partial(self._client.update_item, **update), self._patience)
        return _pause(answer["Attributes"])


class KnownPauses:
    """`Pauses` that a process knows by heart, from `start` on. Reading costs no remote call."""

    def __init__(self, stored: Pauses) -> None:
        self._stored = stored
        self._known = Pause()
        self._changes = 0
        self._reading = Repeated("reading the pause", self.refresh, READ_EVERY_SECONDS)

    def start(self) -> Self:
        """Begin to read in the background. Call after any fork."""
        self._reading.start(FIRST_READ_SECONDS)
        return self

    def close(self) -> None:
        """End the reading."""
        self._reading.close()

    def current(self) -> Pause:
        return self._known

    def put(self, zone: str | None, paused: bool) -> Pause:
        """One remote call; counts in this process at once. Raises `Unavailable`."""
        return self._changed(self._stored.put(zone, paused))

    def reposition(self, zone: str | None, weight: Weight) -> Pause:
        """As `put`."""
        return self._changed(self._stored.reposition(zone, weight))

    def _changed(self, pause: Pause) -> Pause:
        self._changes += 1
        self._known = pause
        return pause

    def refresh(self) -> None:
        """Read the pause: one remote call. Raises `Unavailable`."""
        changes = self._changes
        pause = self._stored.current()
        # A read that a change of this process has overtaken tells of the time before.
        if changes == self._changes:
            self._known = pause


def _pause(item: Item) -> Pause:
    weights = {
        name.removeprefix(_WEIGHT): Weight(value["S"])
        for name, value in item.items()
        # One that this release does not know counts as none.
        if name.startswith(_WEIGHT) and value.get("S") in set(Weight)
    }
    return Pause(
        everywhere=item.get("everywhere", {}).get("BOOL", False),
        zones=frozenset(item.get("zones", {}).get("SS", ())),
        weight=weights.pop("", Weight.LEAN),
        weights=weights,
    )
