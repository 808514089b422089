"""Every role stays alive to its health check and ends in time, whatever the peers do."""

from __future__ import annotations

import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
import redis
import urllib3
import yaml

from service.local.emulators import listens
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, free_port, wait_until
from tests.support.local_server import LocalServer, QuietHandler
from tests.support.stack import Stack, answers
from tests.unit.test_ecs_templates import template

ROLES = ("web", "worker", "beat", "media", "monitor")
COMPOSE = yaml.safe_load((PROJECT / "docker/compose.yaml").read_text())["services"]
(MEDIA,) = template("service.yaml")["Resources"]["MediaTask"]["Properties"]["ContainerDefinitions"]
DOCKERS_OWN_SECONDS = 10
"""A container without a stop time-out of its own."""
TROUBLE_SECONDS = 8.0
"""Long enough for every role to wait for its peer more than once."""
FRESH_SECONDS = 15.0
"""How old a liveness file may be; the health check allows 30 s."""


def stop_seconds(role: str) -> int:
    """Seconds after which compose kills the role; ECS in case of `media`."""
    if role == "media":
        return int(MEDIA["StopTimeout"])
    said = COMPOSE[role].get("stop_grace_period", f"{DOCKERS_OWN_SECONDS}s")
    return int(said.removesuffix("s"))


@contextmanager
def a_silent_peer() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield server.getsockname()[1]


@contextmanager
def a_refusing_peer() -> Iterator[int]:
    """A port at which nobody listens."""
    yield free_port()


class _Failing(QuietHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(500)


@contextmanager
def an_erring_peer() -> Iterator[int]:
    """A port that answers every call with an error of the server."""
    with LocalServer(_Failing, clients_keep_alive=True) as server:
        yield server.port


def refuse(server: RedisServer) -> None:
    server.kill()


def fall_silent(server: RedisServer) -> None:
    server.pause()


def answer_errors(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser(
            "default", enabled=True, nopass=True, categories=["-@all"], commands=["+acl"]
        )


def go_on(server: RedisServer) -> None:
    """Redis is well; the others are not."""


Peer = Callable[[], AbstractContextManager[int | None]]
"""What stands for DynamoDB and the trace collector; none: DynamoDB as it is, no collector."""


@pytest.mark.parametrize(
    ("trouble", "peer"),
    [
        (refuse, nullcontext),
        (fall_silent, nullcontext),
        (answer_errors, nullcontext),
        (go_on, a_silent_peer),
        (go_on, a_refusing_peer),
        (go_on, an_erring_peer),
    ],
)
def test_roles_live_on_and_end_within_their_stop_time_out(
    tmp_path: Path, ministack: MiniStack, trouble: Callable[[RedisServer], None], peer: Peer
) -> None:
    port = free_port()
    settings = {"FLOWER_ADDRESS": "127.0.0.1", "FLOWER_PORT": str(port)}
    with (
        peer() as others,
        RedisServer(tmp_path / "redis") as server,
        Stack(tmp_path, ministack, server, roles=(), **settings) as stack,
    ):
        if others:
            stack.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{others}"
            stack.environment["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{others}"
        for role in ROLES:
            stack.environment["LIVENESS_FILE"] = str(alive_file(tmp_path, role))
            stack.start(role)
        wait_until(lambda: answers(stack.port), "the API")
        wait_until(lambda: "ready" in stack.log("worker"), "the worker")
        wait_until(lambda: "ready" in stack.log("media"), "the media role")
        wait_until(lambda: listens(port), "the monitor")
        trouble(server)
        stack.call("GET", "/v1/rides", token=stack.rider_token("rider"))
        time.sleep(TROUBLE_SECONDS)
        assert_all_alive(stack, tmp_path, port)
        assert_all_end(stack)
        if trouble is fall_silent:
            server.resume()


def alive_file(folder: Path, role: str) -> Path:
    return folder / f"{role}-alive"


def assert_all_alive(stack: Stack, folder: Path, monitor_port: int) -> None:
    assert {role: stack.processes[role].exit_code for role in ROLES} == dict.fromkeys(ROLES)
    assert answers(stack.port)
    url = f"http://127.0.0.1:{monitor_port}/healthcheck"
    assert urllib3.request("GET", url, timeout=5, retries=False).status == 200
    for role in ("worker", "beat", "media"):
        assert time.time() - alive_file(folder, role).stat().st_mtime < FRESH_SECONDS, role


def assert_all_end(stack: Stack) -> None:
    """Send SIGTERM to all roles, as when a machine is drained; each must end in its stop time."""
    began = time.monotonic()
    for role in ROLES:
        stack.processes[role].send(signal.SIGTERM)
    seconds: dict[str, float] = {}
    while len(seconds) < len(ROLES) and time.monotonic() < began + max(map(stop_seconds, ROLES)):
        for role in set(ROLES) - set(seconds):
            if stack.processes[role].exit_code is not None:
                seconds[role] = time.monotonic() - began
        time.sleep(0.05)
    print({role: round(took, 1) for role, took in seconds.items()})
    late = [role for role in ROLES if seconds.get(role, math.inf) > stop_seconds(role)]
    assert late == [], "\n".join(stack.log(role)[-2000:] for role in late)
    assert {stack.processes[role].exit_code for role in ROLES} == {0}
