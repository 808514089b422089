"""The image and the compose stack, for real; `make test-docker` runs it.

Skipped where no Docker engine answers. Takes a minute or two, more when the image is built anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
import yaml

from service.local import emulators
from tests.support.infrastructure import PROJECT, free_port, wait_until

ROLES = ("web", "worker", "beat", "monitor")
COMPOSE_FILE = PROJECT / "docker" / "compose.yaml"


def compose_command() -> list[str] | None:
    """The standalone command or the engine's plugin, whichever is there."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else None


def why_not() -> str | None:
    """What is missing to run containers here."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    engine = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30)
    if engine.returncode != 0:
        return "no Docker engine answers"
    return None if compose_command() else "there is no docker-compose"


missing = why_not()
pytestmark = [
    pytest.mark.skipif(missing is not None, reason=missing or ""),
    pytest.mark.timeout(900),
]


class Containers:
    """A compose project of its own, on free ports."""

    def __init__(self) -> None:
        self.web, self.aws, self.monitor = free_port(), free_port(), free_port()
        self.prometheus = free_port()
        self.profiles: list[str] = []
        self._name = f"wildrydes-test-{uuid.uuid4().hex[:8]}"
        self._environment = os.environ | {
            "PORT": str(self.web),
            "AWS_PORT": str(self.aws),
            "MONITOR_PORT": str(self.monitor),
            "PROMETHEUS_PORT": str(self.prometheus),
            "HERD_SPEED": "500",
        }

    def compose(self, *arguments: str) -> str:
        command = [*(compose_command() or []), "-p", self._name, "-f", str(COMPOSE_FILE)]
        done = subprocess.run(
            [*command, "--profile", "herd", *self.profiles, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> None:
        self.compose("up", "--no-build", "--detach")
        wait_until(self.is_ready, "the start of the containers", 90)

    def is_ready(self) -> bool:
        answer = emulators.get_json(self.web, "/readyz")
        return isinstance(answer, dict) and answer["status"] == "ready"

    def inside(self, role: str, *command: str) -> str:
        return self.compose("exec", "-T", role, *command).strip()

    def inspect(self, role: str) -> Any:
        container = self.compose("ps", "-q", role).strip()
        return json.loads(docker("inspect", container))[0]

    def token(self, user: str) -> str:
        return self.compose("run", "--rm", "-T", "provision", "token", user).strip()

    def call(self, method: str, path: str, token: str, body: Any = None) -> Any:
        answer = urllib3.request(
            method,
            f"http://127.0.0.1:{self.web}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}", "Prefer": "wait=10"},
            timeout=30,
        )
        assert answer.status < 300, answer.data
        return answer.json()


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    # The host's network, so that the build reaches the package registry the way this machine does.
    dockerfile = str(COMPOSE_FILE.with_name("Dockerfile"))
    build = ["build", "--network", "host", "-f", dockerfile, "-t", "wildrydes-dispatch"]
    docker(*build, str(PROJECT))
    containers = Containers()
    try:
        containers.up()
        yield containers
    finally:
        containers.compose("down", "--volumes", "--timeout", "5")


def test_a_ride_goes_through_the_containers(containers: Containers) -> None:
    token = containers.token("rider")
    ride = containers.call(
        "POST", "/v1/rides", token, {"pickup": {"latitude": 40.72, "longitude": -74.0}}
    )

    def completed() -> bool:
        now = containers.call("GET", f"/v1/rides/{ride['ride_id']}", token)
        return bool(now["status"] == "completed")

    wait_until(completed, "the completion of the ride", 90)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_runs_without_privileges_on_a_read_only_file_system(
    containers: Containers, role: str
) -> None:
    assert containers.inside(role, "id", "-u") == "10001"
    assert containers.inside(role, "sh", "-c", "touch /app/x 2>/dev/null || echo no") == "no"
    limits = containers.inspect(role)["HostConfig"]
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert any("no-new-privileges" in option for option in limits["SecurityOpt"])


@pytest.mark.parametrize("role", ROLES)
def test_the_role_itself_is_the_containers_first_process(containers: Containers, role: str) -> None:
    first = containers.inside(role, "cat", "/proc/1/cmdline").replace("\0", " ")
    assert not first.startswith(("sh ", "/bin/sh ")), "docker/entrypoint itself"
    program = {"web": "gunicorn", "monitor": "worker.monitor"}.get(role, "celery")
    assert program in first


def test_the_image_holds_no_development_stack(containers: Containers) -> None:
    assert containers.inside("web", "sh", "-c", "ls -A /app/service | grep -c local || true") == "0"


def test_ports_are_published_on_loopback_only(containers: Containers) -> None:
    for role in ("web", "monitor", "aws", "redis"):
        bindings = containers.inspect(role)["NetworkSettings"]["Ports"] or {}
        hosts = {host["HostIp"] for published in bindings.values() for host in published or ()}
        assert hosts <= {"127.0.0.1"}


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_turning_main_loop_is_healthy(containers: Containers, role: str) -> None:
    def is_healthy() -> bool:
        return bool(containers.inspect(role)["State"]["Health"]["Status"] == "healthy")

    wait_until(is_healthy, f"the health of {role}", 60)


def test_no_container_was_restarted(containers: Containers) -> None:
    counts = {role: containers.inspect(role)["RestartCount"] for role in ROLES}
    assert counts == dict.fromkeys(ROLES, 0)


@pytest.fixture(scope="module")
def prometheus(containers: Containers) -> str:
    """The address of a Prometheus that watches the containers."""
    image = yaml.safe_load(COMPOSE_FILE.read_text())["services"]["prometheus"]["image"]
    for command in ("inspect", "pull"):
        known = ["docker", "image", command, image]
        if subprocess.run(known, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip(f"{image} can not be had here")
    containers.profiles = ["--profile", "monitoring"]
    containers.compose("up", "--no-build", "--detach", "prometheus")
    return f"http://127.0.0.1:{containers.prometheus}/api/v1"


def asked(url: str) -> Any:
    answer = urllib3.request("GET", url, timeout=10)
    assert answer.status == 200, answer.data
    return answer.json()["data"]


def alerts(prometheus: str) -> set[str]:
    """Names of the alerts that fire."""
    found = asked(f"{prometheus}/alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def test_prometheus_finds_every_role_and_reads_the_rules(
    containers: Containers, prometheus: str
) -> None:
    def up() -> set[str]:
        result = asked(f"{prometheus}/query?query=up")["result"]
        return {each["metric"]["job"] for each in result if each["value"][1] == "1"}

    def matched() -> bool:
        query = "sum(wildrydes_time_to_match_seconds_count)"
        result = asked(f"{prometheus}/query?query={query}")["result"]
        return bool(result) and float(result[0]["value"][1]) > 0

    wait_until(lambda: _answers(prometheus), "Prometheus", 60)
    wait_until(lambda: up() >= {"web", "worker", "beat", "monitor"}, "every role", 60)
    assert len(asked(f"{prometheus}/rules")["groups"]) == 5
    rider = containers.token("rider")
    containers.call("POST", "/v1/rides", rider, {"pickup": {"latitude": 40.72, "longitude": -74}})
    wait_until(matched, "the match in Prometheus", 60)


def test_a_killed_worker_is_an_alert_within_seconds(
    containers: Containers, prometheus: str
) -> None:
    wait_until(lambda: _answers(prometheus), "Prometheus", 60)
    wait_until(lambda: "WorkersDown" not in alerts(prometheus), "a worker", 60)
    containers.compose("kill", "worker")
    killed = time.monotonic()
    wait_until(lambda: "WorkersDown" in alerts(prometheus), "the alert", 30)
    print(f"alert after {time.monotonic() - killed:.1f} s")
    containers.compose("up", "--no-build", "--detach", "worker")
    wait_until(lambda: "WorkersDown" not in alerts(prometheus), "the end of the alert", 60)


def _answers(prometheus: str) -> bool:
    try:
        return bool(asked(f"{prometheus}/status/runtimeinfo"))
    except (urllib3.exceptions.HTTPError, AssertionError):
        return False
