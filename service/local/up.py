"""Brings a stack up and keeps it up: emulators, provisioning, the service, the herd."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from service.local import emulators, environment, procfile, roads
from service.local.identity import Identity
from service.local.occupancy import Occupancy
from service.local.processes import Program
from service.local.provisioning import load_identity, provision, save_identity
from service.local.stack import Stack, StackSettings, write_private
from service.local.supervisor import POLL_SECONDS, Stopped, Supervisor

START_SECONDS = 60.0


def up(stack: Stack, say: Callable[[str], None], announce: Callable[[str], None]) -> None:
    """Run the stack until a signal ends it; `announce` gets the text for people once it is ready.

    Raises `StackError` when it cannot start. Leaves no process behind either way.
    """
    environment.require_effective(stack, existing_identity(stack))
    environment.keep_to_the_stack()
    occupancy = Occupancy(stack.folder)
    supervisor = Supervisor(occupancy, say)
    supervisor.end_on_signals()
    running = RunningStack(stack, supervisor, say)
    try:
        stack.ports.require_free(environment.common_settings(stack).metrics_port)
        stack.remember_ports()
        with contextlib.suppress(Stopped):
            running.start()
            announce(ready_text(stack))
            running.keep()
        say("stopping")
    finally:
        supervisor.stop()
        occupancy.leave()


class RunningStack:
    """A stack whose processes are run by its supervisor."""

    def __init__(self, stack: Stack, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._supervisor = supervisor
        self._say = say

    def start(self) -> None:
        _rotate(self._stack.logs)
        if self._stack.extract:
            self._start_roads(self._stack.extract)
        self._say("starting AWS and Redis")
        self._start_emulators()
        if self._provision():
            # The emulator writes its state only when it ends. A later crash must not lose the pool.
            self._supervisor.stop_together(["aws"], grace=20)
            self._start_aws()
        self._say("starting the service")
        self._start_service()

    def keep(self) -> None:
        """Restart what dies, until told to end."""
        unprovisioned = False
        while not self._supervisor.ending:
            time.sleep(POLL_SECONDS)
            unprovisioned |= "aws" in self._supervisor.restart_dead(time.monotonic())
            if unprovisioned and emulators.ministack_answers(self._stack.ports.aws):
                unprovisioned = False
                if self._provision():
                    self._say("the user pool is a new one: starting the service again")
                    self._supervisor.stop(emulators=False)
                    self._start_service()

    def _start_roads(self, extract: Path) -> None:
        folder, port = self._stack.folder / "roads", self._stack.ports.roads
        self._say(f"preparing the roads of {extract} (once)")
        package = roads.install(folder)
        base = roads.prepare(package, extract, folder)
        self._supervisor.start(roads.server(package, base, port, self._log("roads")))
        self._wait(lambda: roads.answers(port), "the routing engine")

    def _start_emulators(self) -> None:
        stack = self._stack
        self._supervisor.start(
            emulators.redis(
                stack.emulators, stack.folder / "redis", stack.ports.redis, self._log("redis")
            )
        )
        self._start_aws()
        self._wait(lambda: emulators.redis_answers(stack.ports.redis), "Redis")

    def _start_aws(self) -> None:
        stack = self._stack
        credentials = stack.secrets.aws_credentials
        self._supervisor.start(
            emulators.ministack(
                stack.emulators,
                stack.folder / "aws",
                stack.ports.aws,
                credentials,
                self._log("aws"),
            )
        )
        self._wait(lambda: emulators.ministack_answers(stack.ports.aws), "AWS")

    def _provision(self) -> bool:
        """Create tables and pool; returns whether the pool is another one than before."""
        stack = self._stack
        identity = provision(
            stack.aws_url,
            stack.secrets.aws_credentials,
            environment.common_settings(stack),
            stack.secrets.demo_password,
            environment.redirects(stack),
            triggered={"ALLOWED_EMAIL_DOMAINS": StackSettings.given().allowed_email_domains},
        )
        return save_identity(identity, stack.folder)

    def _start_service(self) -> None:
        """Start the Procfile's processes; when the API is ready, the herd."""
        identity = load_identity(self._stack.folder)
        variables = environment.process_environment(self._stack, identity)
        commands = procfile.read(self._stack.project / "Procfile")
        if not is_monitored(self._stack):
            del commands["monitor"]
        if not environment.given("PHOTOS_BUCKET"):
            del commands["media"]
        for name, command in commands.items():
            self._supervisor.start(self._program(name, command, variables))
        granted = environment.tokens(self._stack, identity)
        text = environment.shell_exports(self._stack, identity, granted)
        write_private(self._stack.folder / "env", text)
        self._wait(lambda: is_ready(self._stack), "the service")
        if StackSettings.given().herd:
            self._start_herd(identity, variables)

    def _start_herd(self, identity: Identity, variables: dict[str, str]) -> None:
        command = [sys.executable, "-m", "service.local.herd"]
        settings = environment.herd_environment(self._stack, identity)
        self._supervisor.start(self._program("herd", command, variables | settings))

    def _program(self, name: str, command: list[str], variables: dict[str, str]) -> Program:
        return Program(
            name=name,
            command=command,
            environment=variables,
            folder=self._stack.project,
            log=self._log(name),
        )

    def _log(self, name: str) -> Path:
        return self._stack.logs / f"{name}.log"

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        self._supervisor.wait_until(ready, what, START_SECONDS)


def existing_identity(stack: Stack) -> Identity:
    """The ids that the last start saved; before the first start, ids that no pool has."""
    if (stack.folder / "identity.json").exists():
        return load_identity(stack.folder)
    return Identity(f"{stack.region}_unknown", "unknown", "unknown", "", {})


def is_ready(stack: Stack) -> bool:
    """Whether the API says that it is ready, and the monitor listens.

    By then worker and beat have started too, or have failed to.
    """
    answer = emulators.get_json(stack.ports.web, "/readyz")
    ready = isinstance(answer, dict) and answer.get("status") == "ready"
    return ready and (not is_monitored(stack) or emulators.listens(stack.ports.monitor))


def is_monitored(stack: Stack) -> bool:
    """Whether the monitor is to run (`MONITOR_ENABLED`)."""
    return environment.common_settings(stack).monitor_enabled


def _rotate(logs: Path) -> None:
    """Keep the logs of the previous run, and of no other."""
    for log in logs.glob("*.log"):
        if log.name != "supervisor.log":
            log.replace(log.with_name(f"{log.name}.1"))


def ready_text(stack: Stack) -> str:
    """The text that `make run` prints when the stack is ready."""
    password = stack.secrets.monitor_password
    monitor = f"{stack.monitor_url}  (user admin, password {password})"
    env = _short(stack.folder / "env")
    return f"""\
ready
  pages     {stack.web_url}  (riders), /drive (drivers), /console (staff)
  API       {stack.web_url}
  docs      {stack.web_url}/docs
  monitor   {monitor if is_monitored(stack) else "off"}
  AWS       {stack.aws_url}
  Redis     {stack.redis_url}
  logs      {_short(stack.logs)}
  sign in   rider, admin, dispatcher or unicorn, password {stack.secrets.demo_password}

Try it:
  . {env}
  curl -i "$API_URL/v1/rides" -H "Authorization: Bearer $RIDER_TOKEN" \\
    -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\
    -d '{{"pickup": {{"latitude": 40.715, "longitude": -74.0}}}}'
"""


def _short(path: Path) -> str:
    """The path, relative to the current folder if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
