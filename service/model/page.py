"""One page of a listing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a listing. `next_key` continues it; None on the last page."""

    items: tuple[Item, ...]
    next_key: Mapping[str, str] | None = None


def items_of(page_from: Callable[[Mapping[str, str] | None], Page[Item]]) -> Iterator[Item]:
    """All items of a listing; each page is read when its first item is needed.

    `page_from` reads the page that begins at a `next_key`, or the first page for None.
    """
    start: Mapping[str, str] | None = None
    while True:
        page = page_from(start)
        yield from page.items
        start = page.next_key
        if start is None:
            return
