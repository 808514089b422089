"""Stores what staff decided: where dispatch is paused, and how idle unicorns are repositioned.

It is one item in DynamoDB, which every process that needs it reads once a second, so a change holds
everywhere within two seconds. Requests and rounds use the process's copy only. If DynamoDB cannot
be read, the last copy stays in use: an outage must neither end a pause nor stop dispatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.background import BackgroundCopy
from service.model import RepositioningLevel
from service.model.operations import Pause
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from service.core.ports import Pauses
    from service.stores.dynamodb.items import Item

READ_EVERY_SECONDS: Final = 1.0
FIRST_READ_SECONDS: Final = 1.0
"""How long a starting process waits for the first read; without an answer it starts unpaused. Less
than the 4 s that Celery gives a pool process to start."""

_KEY: Final = "dispatch#pause"
_LEVEL: Final = "weight#"
"""The prefix of the attributes that hold levels; the rest of the name is the zone."""


class DynamoPauses(TableStore):
    """`Pauses` in DynamoDB. Each method makes one remote call and may raise `Unavailable`."""

    def current(self) -> Pause:
        """The pause as stored, read consistently."""
        return _pause(self._stored(_KEY) or {})

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Pause or resume; writes only its own part, so that two changes at once both hold."""
        if zone is not None:
            expression = "ADD zones :zones" if paused else "DELETE zones :zones"
            return self._changed(expression, {":zones": {"SS": [zone]}})
        expression = f"SET everywhere = :paused{'' if paused else ' REMOVE zones'}"
        return self._changed(expression, {":paused": {"BOOL": paused}})

    def reposition(self, zone: str | None, level: RepositioningLevel) -> Pause:
        """Set a level; each zone has an attribute, so that two changes at once both hold."""
        names = {"#level": f"{_LEVEL}{zone or ''}"}
        values: Item = {":level": text(level)}
        return self._changed("SET #level = :level", values, ExpressionAttributeNames=names)

    def _changed(self, expression: str, values: Item, **names: Any) -> Pause:
        return _pause(self._updated(_KEY, expression, values, **names))


class KnownPauses(BackgroundCopy):
    """`Pauses` with a copy in this process, kept from `start` on. Reading makes no remote call."""

    def __init__(self, stored: Pauses) -> None:
        super().__init__("reading the pause", READ_EVERY_SECONDS, FIRST_READ_SECONDS)
        self._stored = stored
        self._copy = Pause()
        self._changes = 0

    def current(self) -> Pause:
        return self._copy

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Pause or resume: one remote call; holds in this process at once. Raises `Unavailable`."""
        return self._changed(self._stored.put(zone, paused))

    def reposition(self, zone: str | None, level: RepositioningLevel) -> Pause:
        """As `put`."""
        return self._changed(self._stored.reposition(zone, level))

    def _changed(self, pause: Pause) -> Pause:
        self._changes += 1
        self._copy = pause
        return pause

    def refresh(self) -> None:
        """Read the pause: one remote call. Raises `Unavailable`."""
        changes = self._changes
        pause = self._stored.current()
        # If this process changed the pause during the read, the answer may be older: drop it.
        if changes == self._changes:
            self._copy = pause


def _pause(item: Item) -> Pause:
    levels = {
        name.removeprefix(_LEVEL): RepositioningLevel(value["S"])
        for name, value in item.items()
        # A level that this release does not know is ignored.
        if name.startswith(_LEVEL) and value.get("S") in set(RepositioningLevel)
    }
    return Pause(
        everywhere=item.get("everywhere", {}).get("BOOL", False),
        zones=frozenset(item.get("zones", {}).get("SS", ())),
        level=levels.pop("", RepositioningLevel.LEAN),
        levels=levels,
    )
