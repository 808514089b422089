"""One page of a listing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

ITEMS: Final = 100
"""The most items that `items_of` reads with one call."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a listing. `next_key` continues it; None on the last page."""

    items: tuple[Item, ...]
    next_key: Mapping[str, str] | None = None


def items_of(listing: Callable[..., Page[Item]]) -> Iterator[Item]:
    """All items of a listing; each page is read when its first item is needed.

    `listing` is called with the arguments `limit`, and `start`: a `next_key`, or None for the first
    page.
    """
    start: Mapping[str, str] | None = None
    while True:
        page = listing(limit=ITEMS, start=start)
        yield from page.items
        start = page.next_key
        if start is None:
            return
