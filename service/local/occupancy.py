"""Tells whether a stack runs in a folder, by two locks and not by process ids alone.

Every process of the stack inherits `stack.lock`, so this lock is free only when the last process
has ended, even if the supervisor was killed. Only the supervisor holds `supervisor.lock`. A list of
process groups is kept beside the locks, so that the processes of a killed supervisor can be ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.local.processes import end_group
from service.local.stack import StackError


class Occupancy:
    """The locks of a running stack, held from before its first process until after its last."""

    def __init__(self, folder: Path) -> None:
        """Raises `StackError` if a process of the stack still runs."""
        self._folder = folder
        stack = _take(folder, "stack")
        supervisor = _take(folder, "supervisor")
        if stack is None or supervisor is None:
            raise StackError(f"the stack in {folder} is already running: `make stop` ends it")
        self.lock = stack
        """Let every process of the stack inherit this file descriptor."""
        self._supervisor_lock = supervisor
        self.note({})

    def note(self, groups: Mapping[str, int]) -> None:
        """Write the supervisor's process id and, by name, the process groups that it started."""
        text = json.dumps({"supervisor": os.getpid(), "groups": dict(groups)})
        draft = self._folder / "processes.draft"
        draft.write_text(text)
        draft.replace(self._folder / "processes.json")

    def leave(self) -> None:
        os.close(self._supervisor_lock)
        os.close(self.lock)


def stop(folder: Path, patience: float = 60.0) -> None:
    """End the stack, through its supervisor if that still runs. Returns when the stack has ended.

    Raises `StackError` if a process survives for `patience` seconds.
    """
    if not _is_held(folder, "stack"):
        return
    if _is_held(folder, "supervisor"):
        os.kill(noted(folder)["supervisor"], signal.SIGTERM)
    end = time.monotonic() + patience
    while _is_held(folder, "stack"):
        if not _is_held(folder, "supervisor"):
            for group in noted(folder)["groups"].values():
                end_group(group)
        if time.monotonic() > end:
            raise StackError(f"a process of the stack in {folder} does not end")
        time.sleep(0.1)


def is_running(folder: Path) -> bool:
    """Whether any process of the stack in this folder runs."""
    return _is_held(folder, "stack")


def noted(folder: Path) -> dict[str, Any]:
    """What `Occupancy.note` wrote last."""
    note: dict[str, Any] = json.loads((folder / "processes.json").read_text())
    return note


def _is_held(folder: Path, name: str) -> bool:
    if not (folder / f"{name}.lock").exists():
        return False
    lock = _take(folder, name)
    if lock is None:
        return True
    os.close(lock)
    return False


def _take(folder: Path, name: str) -> int | None:
    """An open file descriptor that holds the lock until all its copies are closed."""
    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
