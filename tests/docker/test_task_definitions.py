"""Each container of each task definition, run as ECS runs it, and rides through all of them.

Skipped where no Docker engine answers. Takes two to four minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import pytest
import urllib3

from service.local import emulators
from service.local.login import Login
from service.local.templates import Template
from tests.support.aws_account import PASSWORD, Account
from tests.support.infrastructure import PROJECT, wait_until
from tests.support.task_containers import IMAGE, Place, docker, health_of, why_not

REDIRECT = "http://127.0.0.1:8080/"
PICKUP = {"latitude": 40.7128, "longitude": -74.006}
TASKS = {"web": "WebTask", "worker": "WorkerTask", "beat": "BeatTask", "media": "MediaTask"}
VERSION = "1.2.3+test"
SLOW = 120.0
"""The longest time in seconds that a step may take on a busy machine."""

missing = why_not()
pytestmark = [
    pytest.mark.skipif(missing is not None, reason=missing or ""),
    pytest.mark.timeout(900),
]


@dataclass
class Deployment:
    """The running tasks, and people who use them."""

    place: Place
    template: Template
    account: Account
    data: Mapping[str, str]
    tokens: Mapping[str, str]

    def call(self, method: str, path: str, who: str, body: Any = None, **headers: str) -> Any:
        """A request to the web task; repeated while none answers. Returns status and JSON."""
        outcome: list[tuple[int, Any]] = []

        def answered() -> bool:
            try:
                port = self.place.port(self.place.tasks["web"], 8080)
                answer = urllib3.request(
                    method,
                    f"http://127.0.0.1:{port}{path}",
                    json=body,
                    headers={"Authorization": f"Bearer {self.tokens[who]}", **headers},
                    timeout=40,
                    retries=False,
                )
            except (urllib3.exceptions.HTTPError, HTTPException):
                return False
            if answer.status == 503:
                return False
            outcome.append((answer.status, answer.json() if answer.data else None))
            return True

        wait_until(answered, f"an answer to {method} {path}", SLOW)
        return outcome[0]

    def request(self, key: str) -> Any:
        """A new ride; the same one for the same key."""
        headers = {"Idempotency-Key": key}
        status, ride = self.call("POST", "/v1/rides", "rider", {"pickup": PICKUP}, **headers)
        assert status in (201, 202), ride
        return ride

    def status_of(self, ride: Any) -> str:
        status, now = self.call("GET", f"/v1/rides/{ride['ride_id']}", "rider")
        assert status == 200, now
        return str(now["status"])

    def be_on_duty(self, on_duty: bool) -> None:
        path, body = "/v1/fleet/me/availability", {"available": on_duty}
        assert self.call("PUT", path, "driver", body)[0] == 200
        assert self.call("PUT", "/v1/fleet/me/position", "driver", PICKUP)[0] == 204

    def replace(self, role: str) -> None:
        """Kill the role's task with SIGKILL, and start another one, as ECS does."""
        docker("kill", self.place.tasks[role])
        self.place.start(self.template, TASKS[role])

    def finish(self, ride: Any, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait for the match, then drive the ride to its end. Calls `meanwhile` on the way."""
        wait_until(lambda: self.status_of(ride) == "matched", "the match", SLOW)
        meanwhile()
        for step in ("arrive", "start", "complete"):
            path = f"/v1/fleet/me/rides/{ride['ride_id']}/{step}"
            body = PICKUP if step == "arrive" else None
            assert self.call("POST", path, "driver", body)[0] == 200
        assert self.status_of(ride) == "completed"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    build = ("--build-arg", f"VERSION={VERSION}", "--build-arg", "REVISION=abc123", "-t", IMAGE)
    # The host's network, so that the build reaches the package registry the way this machine does.
    docker("build", "--network", "host", "-f", f"{PROJECT}/docker/Dockerfile", *build, str(PROJECT))
    folder = tmp_path_factory.mktemp("tasks")
    with Place(folder) as place:
        account = Account(folder)
        account.port = place.port(place.aws, 4566)
        wait_until(lambda: emulators.ministack_answers(account.port), "the emulator", SLOW)
        urls = dict.fromkeys(("RiderUrls", "DriverUrls", "ConsoleUrls"), REDIRECT)
        # The emulator knows no AWS::Cognito::ManagedLoginBranding.
        data = account.deploy("data.yaml", LoginDomain="wildrydes", Branding="false", **urls)
        for name in ("RidesTable", "OperationsTable"):
            let_expire(account, data[name])
        account.client("s3").create_bucket(Bucket="photos")
        template = Template("service.yaml", parameters(data))
        yield started(place, template, account, data)


def let_expire(account: Account, table: str) -> None:
    """Set the tables' expiry from data.yaml, because the emulator's CloudFormation ignores it."""
    account.client("dynamodb").update_time_to_live(
        TableName=table, TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True}
    )


def parameters(data: Mapping[str, str]) -> dict[str, str]:
    """The parameters of service.yaml: outputs of data.yaml, and what an operator chooses."""
    names = ("RidesTable", "UnicornsTable", "OperationsTable", "UserPoolId", "ClientIds")
    return {name: data[name] for name in names} | {
        "PublicUrl": "https://rides.example.com",
        "Image": IMAGE,
        "ServiceVersion": VERSION,
        "PhotosBucket": "photos",
        "IdentityPoolId": "us-east-1:01234567-89ab-cdef-0123-456789abcdef",
    }


def started(
    place: Place, template: Template, account: Account, data: Mapping[str, str]
) -> Deployment:
    pool = data["UserPoolId"]
    account.sign_up(pool, "rider@example.com")
    account.sign_up(pool, "console@example.com", "admin")
    driver_sub = account.sign_up(pool, "driver@example.com", "unicorns")
    scopes = {
        "rider": ("rides.read", "rides.write"),
        "driver": ("fleet.drive",),
        "console": ("admin",),
    }
    tokens = {}
    for who, wanted in scopes.items():
        login = Login(account.url, data[f"{who.title()}ClientId"], REDIRECT)
        names = [f"wildrydes/{scope}" for scope in wanted]
        tokens[who] = login.sign_in(f"{who}@example.com", PASSWORD, names).access_token
    for task in TASKS.values():
        place.start(template, task)
    deployment = Deployment(place, template, account, data, tokens)
    unicorn = {"name": "Shadowfax", "color": "White", "gender": "Male", "account_sub": driver_sub}
    body = unicorn | {"location": PICKUP}
    assert deployment.call("POST", "/v1/admin/unicorns", "console", body)[0] == 201
    return deployment


@pytest.mark.parametrize("role", TASKS)
def test_a_task_becomes_healthy_by_its_own_check(deployment: Deployment, role: str) -> None:
    task = deployment.place.tasks[role]
    wait_until(lambda: health_of(task) == "healthy", f"the health of {role}", SLOW)


@pytest.mark.parametrize("role", ["web", "worker", "beat"])
def test_a_ride_goes_on_while_a_task_is_killed_and_replaced(
    deployment: Deployment, role: str
) -> None:
    deployment.be_on_duty(False)
    ride = deployment.request(f"replaced-{role}")
    deployment.replace(role)
    deployment.be_on_duty(True)
    deployment.finish(ride, lambda: deployment.replace(role))
    assert deployment.request(f"replaced-{role}")["ride_id"] == ride["ride_id"]


def test_a_worker_that_is_taken_back_by_spot_loses_no_ride(deployment: Deployment) -> None:
    """After SIGTERM the task ends within the stop timeout, and another task continues its work."""
    deployment.be_on_duty(False)
    old = deployment.place.tasks["worker"]
    ride = deployment.request("spot")
    deployment.place.start(deployment.template, "WorkerTask")
    docker("stop", old)
    assert deployment.place.state(old)["ExitCode"] == 0, deployment.place.log(old)
    deployment.be_on_duty(True)
    deployment.finish(ride)


def test_staff_sees_what_the_workers_run(deployment: Deployment) -> None:
    def versions() -> set[tuple[str, str]]:
        _, page = deployment.call("GET", "/v1/admin/workers", "console")
        running = [each for each in page["workers"] if each["state"] == "running"]
        return {(each["version"], each["revision"]) for each in running}

    wait_until(lambda: versions() == {(VERSION, "abc123")}, "the worker's heartbeat", SLOW)
    labels = docker("image", "inspect", "--format", "{{json .Config.Labels}}", IMAGE)
    assert f'"org.opencontainers.image.version":"{VERSION}"' in labels
    assert '"org.opencontainers.image.revision":"abc123"' in labels


def test_the_task_of_commands_says_that_the_release_fits_its_stores(deployment: Deployment) -> None:
    names = ("RidesTable", "UnicornsTable", "OperationsTable", "UserPoolId")
    values = {name: deployment.data[name] for name in names} | {"Image": IMAGE}
    commands = Template("commands.yaml", values | {"RedisUrlSecret": "RedisUrl"})
    said = deployment.place.run(commands, "Task", "python", "-m", "service", "doctor")
    assert "no faults" in said


@pytest.mark.parametrize("role", TASKS)
def test_a_stopped_task_ends_by_itself_within_its_stop_timeout(
    deployment: Deployment, role: str
) -> None:
    """Exit code 137 would mean that docker killed it after the timeout."""
    task = deployment.place.tasks[role]
    docker("stop", task)
    assert deployment.place.state(task)["ExitCode"] == 0, deployment.place.log(task)
    deployment.place.start(deployment.template, TASKS[role])
