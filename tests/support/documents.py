"""The commands that the repository's Markdown pages print, as a reader would type them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.infrastructure import PROJECT

NOT_OURS = {".git", ".venv", ".local", "node_modules", ".pytest_cache"}
"""Folders whose pages others wrote."""

_BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.M | re.S)
_SPAN = re.compile(
    r"`((?:[A-Z_]+=\S+ )*(?:make|python|docker-compose|docker|curl|aws|npm) [^`…]*[^`…\s])`"
)
_COMMENT = re.compile(r"\s+#\s.*$", re.M)


@dataclass(frozen=True)
class Command:
    """One command of one page, without its comment."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def pages() -> list[str]:
    """Every Markdown page of the project; found without git, which a copy may not have."""
    found = []
    for folder, inner, files in os.walk(PROJECT):
        inner[:] = [name for name in inner if name not in NOT_OURS]
        found += [Path(folder, name) for name in files if name.endswith(".md")]
    return sorted(path.relative_to(PROJECT).as_posix() for path in found)


def commands() -> list[Command]:
    """Every command of every page, in the order in which they stand there."""
    found = [
        Command(page, text)
        for page in pages()
        for text in _commands_in((PROJECT / page).read_text())
    ]
    return list(dict.fromkeys(found))


def _commands_in(page: str) -> Iterator[str]:
    for kind, block in _BLOCK.findall(page):
        whole_lines = re.sub(r"\\\n\s*", "", block)
        for line in _COMMENT.sub("", whole_lines).splitlines():
            if kind == "sh" and line.strip():
                yield line.strip()
            elif line.startswith("$ "):
                yield line[2:].strip()
    yield from _SPAN.findall(_BLOCK.sub("", page))
