"""The whole service for a test: real API, worker and beat on real Redis and real tables.

Each stack has tables, ports and a Redis of its own, so that stacks can run side by side. Access
tokens are signed by the test's own key, which the API knows through `AUTH_JWKS_FILE`.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from service.local import procfile
from service.local.processes import Process, Program
from service.settings import Settings
from service.stores.dynamodb.schema import create_tables
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, free_port, wait_until
from tests.support.token_mint import CLIENT_ID, MACHINE_ID, POOL_ID, Mint, jwks

ROLES = ("web", "worker", "beat")


@contextmanager
def stack_with_redis(folder: Path, ministack: MiniStack, **options: Any) -> Iterator[Stack]:
    """A running stack with a Redis server of its own. `options`: those of `Stack`."""
    with (
        RedisServer(folder / "redis") as redis,
        Stack(folder, ministack, redis, **options) as stack,
    ):
        yield stack


class Answer:
    """What the API answered."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def start_process(
    name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path
) -> Process:
    """Start a command of the project's virtual environment; its output goes to `logs`."""
    program = Path(sys.executable).parent / command[0]
    return Process(
        Program(
            name=name,
            command=[str(program), *command[1:]],
            environment=environment,
            folder=PROJECT,
            log=logs / f"{name}.log",
        )
    )


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a process on this port answers that it is alive."""
    connection = HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Stack:
    """API, worker and beat as the Procfile starts them; a context manager."""

    def __init__(
        self,
        folder: Path,
        ministack: MiniStack,
        redis: RedisServer,
        *,
        roles: tuple[str, ...] = ROLES,
        worker_app: str = "worker.app",
        **settings: str,
    ) -> None:
        self.folder = folder
        self.redis = redis
        self.ministack = ministack
        self.port = free_port()
        self.mint = Mint()
        self._roles = roles
        self._worker_app = worker_app
        keys = folder / "jwks.json"
        keys.write_bytes(jwks(self.mint.key))
        suffix = uuid.uuid4().hex[:8]
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            # What killed processes leave behind stays in the test's own folder.
            "TMPDIR": str(self.temporary),
            "PORT": str(self.port),
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "REDIS_URL": redis.url,
            "RIDES_TABLE": f"Rides-{suffix}",
            "UNICORNS_TABLE": f"Unicorns-{suffix}",
            "OPERATIONS_TABLE": f"Operations-{suffix}",
            "COGNITO_USER_POOL_ID": POOL_ID,
            "COGNITO_CLIENT_IDS": f"{CLIENT_ID},{MACHINE_ID}",
            "AUTH_JWKS_FILE": str(keys),
            "FLOWER_BASIC_AUTH": "admin:secret",
            # One rider's token stands for many riders.
            "RIDER_MAX_ACTIVE_RIDES": "0",
            **ministack.environment,
            **settings,
        }
        self.processes: dict[str, Process] = {}

    def settings(self) -> Settings:
        """The same settings, for code under test that runs in the test's own process."""
        values = {name.lower(): value for name, value in self.environment.items()}
        return Settings(**values)  # type: ignore[arg-type]

    def start(self, role: str, *more: str) -> None:
        """Start a role of the Procfile, with `more` arguments for its command."""
        named = procfile.read(PROJECT / "Procfile")[role]
        command = [part.replace("worker.app", self._worker_app) for part in (*named, *more)]
        self.processes[role] = start_process(role, command, self.environment, self.folder)

    def start_web(self, port: int) -> Process:
        """Start one more web process and wait until it answers; the caller must stop it."""
        command = procfile.read(PROJECT / "Procfile")["web"]
        environment = self.environment | {"PORT": str(port)}
        process = start_process(f"web-{port}", command, environment, self.folder)
        wait_until(lambda: answers(port), "a web process")
        return process

    def kill(self, role: str) -> None:
        """SIGKILL for the process and all it started, as a machine that goes away."""
        self.processes.pop(role).sweep()

    def __enter__(self) -> Self:
        create_tables(self.ministack.dynamodb_client(), self.settings())
        try:
            for role in self._roles:
                self.start(role)
            if "web" in self._roles:
                wait_until(self._is_ready, "readiness of the API")
            if "worker" in self._roles:
                wait_until(lambda: "ready" in self.log("worker"), "start of the worker")
        except BaseException as error:
            self.__exit__()
            for process in self.processes.values():
                error.add_note(f"{process.program.name}: {process.last_lines()}")
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for role in reversed(self.processes):
            self.processes[role].stop(grace=20)

    def rider_token(self, subject: str) -> str:
        return self._token(subject, "wildrydes/rides.read wildrydes/rides.write")

    def unicorn_token(self, subject: str) -> str:
        return self._token(subject, "wildrydes/fleet.drive", groups=["unicorns"])

    def admin_token(self) -> str:
        return self._token("admin-1", "wildrydes/admin", groups=["admin"])

    def _token(self, subject: str, scope: str, **claims: object) -> str:
        return self.mint.access_token(sub=subject, username=subject, scope=scope, **claims)

    def on_duty(self, subject: str, at: Mapping[str, float], **unicorn: object) -> str:
        """Enroll a unicorn that is free at this place; returns the token of its driver."""
        body = {"account_sub": subject, "name": "Shadowfax", "color": "White", "gender": "Male"}
        token = self.unicorn_token(subject)
        for method, path, sent, caller in (
            ("POST", "/v1/admin/unicorns", body | unicorn, self.admin_token()),
            ("PUT", "/v1/fleet/me/availability", {"available": True}, token),
            ("PUT", "/v1/fleet/me/position", at, token),
        ):
            answer = self.call(method, path, sent, token=caller)
            assert answer.status < 300, answer.body
        return token

    def log(self, role: str) -> str:
        path = self.folder / f"{role}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        timeout: float = 40,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own; `headers` with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        try:
            return self.call("GET", "/readyz").status == 200
        except OSError:
            return False
