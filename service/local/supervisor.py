"""Keeps a set of processes running until told to end: restarts what dies, stops in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Sequence

from service.local.occupancy import Occupancy
from service.local.processes import Process, Program
from service.local.stack import StackError

POLL_SECONDS = 0.1
BACK_OFF_SECONDS = 1.0
LAST_STAGES: Sequence[tuple[Collection[str], float]] = (
    (("worker",), 30.0),
    (("redis", "aws"), 20.0),
)
"""The last processes to be stopped and the seconds that they get: the worker, then the stores."""
FIRST_GRACE_SECONDS = 5.0
"""The seconds that all others get (web, beat, monitor, herd). A request may wait for news for
longer, but nobody who stops a development stack wants to wait for it."""


class Stopped(Exception):
    """The supervisor was told to end while it waited for something."""


class Supervisor:
    """The processes of one stack. Single-threaded: it polls, ten times a second."""

    def __init__(self, occupancy: Occupancy, say: Callable[[str], None]) -> None:
        self.ending = False
        self._occupancy = occupancy
        self._say = say
        self._processes: dict[str, Process] = {}
        self._due: dict[str, float] = {}

    def end_on_signals(self) -> None:
        """SIGTERM, Ctrl-C and a closed terminal only set a flag: no start is cut in half."""

        def end(number: int, frame: object) -> None:
            self.ending = True

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)

    def start(self, program: Program) -> None:
        """Start a process, in place of one of the same name that ended."""
        self._processes[program.name] = Process(program, inherit=[self._occupancy.lock])
        self._due.pop(program.name, None)
        self._occupancy.note({name: process.pid for name, process in self._processes.items()})

    def is_running(self, name: str) -> bool:
        process = self._processes.get(name)
        return process is not None and process.exit_code is None

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until `ready` is true.

        Raises `StackError` if a process ends or the time is up before, and `Stopped` if the
        supervisor is told to end.
        """
        end = time.monotonic() + seconds
        while not ready():
            if self.ending:
                raise Stopped
            for name, process in self._processes.items():
                if process.exit_code is not None:
                    raise StackError(f"{name} ended at its start:\n{process.last_lines()}")
            if time.monotonic() > end:
                raise StackError(f"{what} was not ready after {seconds:g} s: see the logs")
            time.sleep(POLL_SECONDS)

    def restart_dead(self, now: float) -> Sequence[str]:
        """Restart the processes that ended `BACK_OFF_SECONDS` ago; returns their names."""
        for name, process in self._processes.items():
            if process.exit_code is not None and name not in self._due:
                self._say(f"{name} ended ({process.exit_code}), starting it again")
                process.sweep()
                self._due[name] = now + BACK_OFF_SECONDS
        started = [name for name, due in self._due.items() if due <= now]
        for name in started:
            self.start(self._processes[name].program)
        return started

    def stop(self, *, emulators: bool = True) -> None:
        """End the processes in their order; a process that does not end in time is killed."""
        last = {name for names, _ in LAST_STAGES for name in names}
        self.stop_together(set(self._processes) - last, FIRST_GRACE_SECONDS)
        for names, grace in LAST_STAGES if emulators else LAST_STAGES[:1]:
            self.stop_together(names, grace)

    def stop_together(self, names: Collection[str], grace: float) -> None:
        """Send SIGTERM to all of these at once, so that the slowest decides how long it takes."""
        processes = [self._processes.pop(name) for name in names if name in self._processes]
        for process in processes:
            self._due.pop(process.program.name, None)
            process.send(signal.SIGTERM)
        end = time.monotonic() + grace
        for process in processes:
            process.stop(max(0.0, end - time.monotonic()))
