"""One child process with its own session and log file."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run. `folder`: its working directory; `log`: the file of both its outputs."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path


class Process:
    """A running program and whatever it started.

    It has a session of its own, so the terminal's Ctrl-C does not reach it: the supervisor decides
    the order in which processes end, and finds remaining ones by their process group.
    """

    def __init__(self, program: Program, *, inherit: Sequence[int] = ()) -> None:
        """Start it; the file descriptors in `inherit` stay open in it."""
        self.program = program
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            self._child = subprocess.Popen(
                program.command,
                cwd=program.folder,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=inherit,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below zero: the signal that ended it."""
        return self._child.poll()

    def send(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self._child.send_signal(number)

    def stop(self, grace: float) -> None:
        """SIGTERM, up to `grace` seconds to finish, then SIGKILL for all that is left of it."""
        self.send(signal.SIGTERM)
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.sweep()

    def sweep(self) -> None:
        """Kill the process, if it still runs, and everything it left running."""
        end_group(self.pid)
        self._child.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.program.log.read_text(errors="replace").splitlines()[-count:])


def end_group(group: int) -> None:
    """SIGKILL every process of the group; it may be empty."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        # macOS says this of a group in which only zombies are left.
        return
