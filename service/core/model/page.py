"""One page of a listing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a listing; `next_key` continues it (none on the last page)."""

    items: tuple[Item, ...]
    next_key: Mapping[str, str] | None = None
