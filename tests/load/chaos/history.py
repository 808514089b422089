"""The record of a run: one JSON object a line, written as it happens, never changed.

`at` is the wall clock, in seconds. Kinds of entries (`what`):

- `sent`, then `answered` (`status`) or `unknown` (`cause`): a call to the API, by its number `call`
- `ride`: a rider saw a version of a ride; `unicorn`: a unicorn saw itself
- `advice`: a machine saw which unicorns are advised where to wait
- `fault` and `back`: something was broken, and works again; `ended`: a process ended by itself
- `unicorn_habit`, `phase`: what the checker must know of the run
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

Entry = Mapping[str, Any]


class History:
    """An append-only file that many threads may share; each line is written at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", buffering=1)
        self._lock = threading.Lock()
        self._calls = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def add(self, what: str, **about: object) -> None:
        entry = json.dumps({"at": round(time.time(), 4), "what": what, **about})
        with self._lock:
            self._file.write(entry + "\n")

    def sent(self, **about: object) -> int:
        """Note a call that is about to be made; returns its number."""
        call = next(self._calls)
        self.add("sent", call=call, **about)
        return call


def read(path: Path) -> Sequence[Entry]:
    """The entries of a history, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()]
