"""Detaches from the terminal: a child with its own session goes on, and the parent reports."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


class Detached:
    """Forks. The parent waits for the child's one report, prints it and exits accordingly.

    Only the child gets the object; the output of the child goes to `log` from here on. A child
    that ends without a report counts as failed.
    """

    def __init__(self, log: Path) -> None:
        reader, self._writer = os.pipe()
        if os.fork() > 0:
            os.close(self._writer)
            _report_and_exit(reader, log)
        os.close(reader)
        self._reported = False
        os.setsid()
        _redirect_output(log)

    def succeeded(self, text: str) -> None:
        self._report(0, text)

    def failed(self, text: str) -> None:
        """Report a failure, unless success was already reported."""
        self._report(1, text)

    def _report(self, code: int, text: str) -> None:
        if not self._reported:
            self._reported = True
            with os.fdopen(self._writer, "w") as pipe:
                pipe.write(f"{code}\n{text}")


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, file), (2, file)):
        os.dup2(source, target)


def _report_and_exit(reader: int, log: Path) -> NoReturn:
    with os.fdopen(reader) as pipe:
        code, _, text = pipe.read().partition("\n")
    if code != "0":
        sys.exit(text or f"the stack ended before it was ready: see {log}")
    print(text)
    sys.exit(0)
