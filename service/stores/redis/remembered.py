"""Remembers parsed entries of unicorns, so that a process parses the same text only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from service.memory import BoundedMemory
from service.model import Position, Unicorn
from service.stores.entries import position_of, unicorn_of

MOST_REMEMBERED: Final = 10_000
"""The most unicorns that are remembered, a kilobyte each."""


@dataclass(slots=True)
class Last:
    """A unicorn's entry as of its last position recorded by this process."""

    state: str | None = None
    unicorn: Unicorn | None = None
    position_text: str | None = None
    position: Position | None = None


class Remembered:
    """The last entries of many unicorns, by id."""

    def __init__(self) -> None:
        self._last = BoundedMemory[str, Last](MOST_REMEMBERED)

    def get(self, unicorn_id: str) -> Last | None:
        return self._last[unicorn_id]

    def read(self, unicorn_id: str, state: str | None, position: str | None) -> Last:
        """The entry with these texts; an unreadable part is None."""
        last = self._last[unicorn_id]
        if last is None:
            last = self._last[unicorn_id] = Last()
        if last.state != state:
            last.state, last.unicorn = state, unicorn_of(state)
        if last.position_text != position:
            last.position_text, last.position = position, position_of(position)
        return last
