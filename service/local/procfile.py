"""The `Procfile`: the one list of the service's processes, a `name: command` per line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_LINE = re.compile(r"(?P<name>[\w-]+):\s*(?P<command>\S.*)")


def read(path: Path) -> dict[str, list[str]]:
    """Process names and their commands, in the file's order; `ValueError` for a bad line."""
    processes: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{path}: not `name: command`: {line!r}")
        processes[match["name"]] = shlex.split(match["command"])
    return processes
