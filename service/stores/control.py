"""Stores what staff decided: where dispatch is paused, and how idle unicorns are repositioned.

It is one item in DynamoDB, which every process that needs it reads once a second, so a change holds
everywhere within two seconds. Requests and rounds use the process's copy only. If DynamoDB cannot
be read, the last copy stays in use: an outage must neither end a pause nor stop dispatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.background import BackgroundCopy
from service.model import RepositioningLevel
from service.model.operations import DispatchState
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from service.core.ports import DispatchControl
    from service.stores.dynamodb.items import Item

READ_EVERY_SECONDS: Final = 1.0
FIRST_READ_SECONDS: Final = 1.0
"""How long a starting process waits for the first read; without an answer it starts unpaused. Less
than the 4 s that Celery gives a pool process to start."""

_KEY: Final = "dispatch#pause"
_LEVEL: Final = "weight#"
"""The prefix of the attributes that hold levels; the rest of the name is the zone."""


class DynamoControl(TableStore):
    """`DispatchControl` in DynamoDB. Each method makes one remote call. Raises `Unavailable`."""

    def current(self) -> DispatchState:
        """The state as stored, read consistently."""
        return _state(self._stored(_KEY) or {})

    def set_paused(self, zone: str | None, paused: bool) -> DispatchState:
        """Pause or resume; writes only its own part, so that two changes at once both hold."""
        if zone is not None:
            expression = "ADD zones :zones" if paused else "DELETE zones :zones"
            return self._changed(expression, {":zones": {"SS": [zone]}})
        expression = f"SET everywhere = :paused{'' if paused else ' REMOVE zones'}"
        return self._changed(expression, {":paused": {"BOOL": paused}})

    def reposition(self, zone: str | None, level: RepositioningLevel) -> DispatchState:
        """Set a level; each zone has an attribute, so that two changes at once both hold."""
        names = {"#level": f"{_LEVEL}{zone or ''}"}
        values: Item = {":level": text(level)}
        return self._changed("SET #level = :level", values, ExpressionAttributeNames=names)

    def _changed(self, expression: str, values: Item, **names: Any) -> DispatchState:
        return _state(self._updated(_KEY, expression, values, **names))


class KnownControl(BackgroundCopy):
    """`DispatchControl` with a copy in this process, kept from `start` on.

    Reading makes no remote call.
    """

    def __init__(self, stored: DispatchControl) -> None:
        super().__init__("reading the state of dispatch", READ_EVERY_SECONDS, FIRST_READ_SECONDS)
        self._stored = stored
        self._copy = DispatchState()
        self._changes = 0

    def current(self) -> DispatchState:
        return self._copy

    def set_paused(self, zone: str | None, paused: bool) -> DispatchState:
        """Pause or resume: one remote call; holds in this process at once. Raises `Unavailable`."""
        return self._changed(self._stored.set_paused(zone, paused))

    def reposition(self, zone: str | None, level: RepositioningLevel) -> DispatchState:
        """As `set_paused`."""
        return self._changed(self._stored.reposition(zone, level))

    def _changed(self, state: DispatchState) -> DispatchState:
        self._changes += 1
        self._copy = state
        return state

    def refresh(self) -> None:
        """Read the state: one remote call. Raises `Unavailable`."""
        changes = self._changes
        state = self._stored.current()
        # If this process changed it during the read, the answer may be older: drop it.
        if changes == self._changes:
            self._copy = state


def _state(item: Item) -> DispatchState:
    levels = {
        name.removeprefix(_LEVEL): RepositioningLevel(value["S"])
        for name, value in item.items()
        # A level that this release does not know is ignored.
        if name.startswith(_LEVEL) and value.get("S") in set(RepositioningLevel)
    }
    return DispatchState(
        everywhere=item.get("everywhere", {}).get("BOOL", False),
        zones=frozenset(item.get("zones", {}).get("SS", ())),
        level=levels.pop("", RepositioningLevel.LEAN),
        levels=levels,
    )
