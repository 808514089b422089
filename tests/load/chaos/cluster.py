"""The system under attack: two APIs, two workers, one beat, and a supervisor that restarts them.

Redis is two servers with replication, which keep nothing on disk. `web-1`, `worker-1` and `beat`
reach it through a door that can misbehave; the others through one that only stands for its name.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from service.local import procfile
from service.local.emulators import listens
from service.local.processes import Process, Program
from service.settings import Settings
from tests.load.bench.processes import family
from tests.load.chaos.history import History
from tests.load.chaos.proxy import running
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, free_port, wait_until
from tests.support.redis_pair import RedisPair
from tests.support.stack import Stack, start_process

SETTINGS: Final = {
    "UNICORN_STALE_SECONDS": "20",
    "OFFER_SECONDS": "5",
    "RATE_LIMIT_SUBJECT": "100000/minute",
    "RATE_LIMIT_ADDRESS": "1000000/minute",
}
RESTART_AFTER_SECONDS: Final = 0.3
BEHIND_PROXY: Final = ("web-1", "worker-1", "beat")
MEMBERS: Final = ("web-1", "web-2", "worker-1", "worker-2", "beat")


class ForgetfulRedis(RedisServer):
    """A Redis without persistence: after a kill it comes back empty."""

    def program(self) -> Program:
        return self._program

    @cached_property
    def _program(self) -> Program:
        program = super().program()
        return dataclasses.replace(program, command=[*program.command, "--appendonly", "no"])


class Cluster:
    """Starts all processes, as a context manager. Records in the history each process that ends by
    itself.
    """

    def __init__(
        self, folder: Path, history: History, members: tuple[str, ...] = MEMBERS, **settings: str
    ) -> None:
        self.history = history
        self.aws = MiniStack(folder / "aws")
        self.pair = RedisPair(
            ForgetfulRedis(folder / "redis-1"), ForgetfulRedis(folder / "redis-2")
        )
        self.ports = {name: free_port() for name in members if name.startswith("web")}
        self._folder = folder
        self._members = members
        self._settings_given = SETTINGS | settings
        self._proxy_port, self._name_port = free_port(), free_port()
        self._processes: dict[str, Process] = {}
        self._started: dict[str, float] = {}
        self._odd: dict[str, dict[str, str]] = {}
        """Further settings of single processes."""
        self._before: dict[str, int] = {}
        """The length of the log when each process was started."""
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        enter(self.aws)
        enter(self.pair)
        given = {"REDIS_URL": self.redis_url, **self._settings_given}
        self.stack = enter(Stack(self._folder, self.aws, self.redis, roles=(), **given))
        self.proxy = enter(running(self._proxy_port, self.redis.port, self._folder))
        self.pair.doors = [
            self.proxy,
            enter(running(self._name_port, self.redis.port, self._folder)),
        ]
        self._stack.callback(self._end)
        for name in self._members:
            self._start(name)
        wait_until(self.is_ready, "readiness")
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def redis(self) -> RedisServer:
        """The present primary."""
        return self.pair.primary

    @property
    def redis_url(self) -> str:
        """The address of the primary's name."""
        return f"redis://127.0.0.1:{self._name_port}/0"

    @property
    def settings(self) -> Settings:
        return self.stack.settings()

    def kill(self, name: str) -> bool:
        """Send SIGKILL to the process and its descendants; False if it is not running."""
        with self._lock:
            process = self._processes.get(name)
            if process is None or process.exit_code is not None:
                return False
            del self._processes[name]
            process.sweep()
        self._restart_later(name)
        return True

    def restart_as(self, name: str, settings: Mapping[str, str]) -> None:
        """Kill the process, and restart it with these further settings."""
        self._odd[name] = dict(settings)
        self.kill(name)

    def children(self, name: str) -> list[int]:
        with self._lock, suppress(OSError, ValueError):
            process = self._processes.get(name)
            return family(process.pid)[1:] if process else []
        return []

    def age(self, name: str) -> float:
        """Seconds since the process was started; zero if it is not running."""
        with self._lock:
            started = self._started.get(name)
            return time.monotonic() - started if started and name in self._processes else 0.0

    def is_at_work(self, name: str) -> bool:
        """Whether a worker has finished starting."""
        with self._lock:
            return name in self._processes and " ready." in self.log(name)[self._before[name] :]

    def exit_code(self, name: str) -> int | None:
        with self._lock:
            return self._processes[name].exit_code

    def log(self, name: str) -> str:
        return self.stack.log(name)

    def is_ready(self) -> bool:
        return all(listens(port) for port in self.ports.values()) and all(
            " ready." in self.log(name) for name in self._members if name.startswith("worker")
        )

    def _start(self, name: str) -> None:
        role = name.partition("-")[0]
        command = list(procfile.read(PROJECT / "Procfile")[role])
        environment = self.stack.environment | self._odd.get(name, {})
        if role == "worker":
            command += ["--hostname", f"{name}@%h"]
        if role == "web":
            environment["PORT"] = str(self.ports[name])
        if name in BEHIND_PROXY:
            environment["REDIS_URL"] = f"redis://127.0.0.1:{self._proxy_port}/0"
        with self._lock:
            self._processes[name] = start_process(name, command, environment, self._folder)
            self._started[name] = time.monotonic()
            self._before[name] = len(self.log(name))

    def _supervise(self) -> None:
        while not self._ended.wait(0.1):
            with self._lock:
                gone = {
                    name: process.exit_code
                    for name, process in self._processes.items()
                    if process.exit_code is not None
                }
                for name in gone:
                    self._processes.pop(name).sweep()
            for name, code in gone.items():
                self.history.add("ended", name=name, code=code)
                self._restart_later(name)

    def _restart_later(self, name: str) -> None:
        def restart() -> None:
            if not self._ended.wait(RESTART_AFTER_SECONDS):
                self._start(name)

        threading.Thread(target=restart, name=f"restart {name}").start()

    def _end(self) -> None:
        self._ended.set()
        for thread in threading.enumerate():
            if thread.name == "supervisor" or thread.name.startswith("restart "):
                thread.join()
        with self._lock:
            for process in self._processes.values():
                process.sweep()
