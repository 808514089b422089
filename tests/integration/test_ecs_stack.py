"""The CloudFormation stacks, deployed to the emulator, and a ride through what they made.

The tasks run as processes with the environment of the deployed task definitions; only addresses
are replaced. The cache is a real server with TLS and a password, as ElastiCache is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.local.login import Login
from tests.support.aws_account import PASSWORD, Account
from tests.support.infrastructure import PROJECT
from tests.support.stack import Stack, start_process
from tests.support.tls import TlsRedisServer

REDIRECT = "http://127.0.0.1:8080/"
PICKUP = {"latitude": 40.7128, "longitude": -74.006}


class Tasks(Stack):
    """Each role in the environment of its own task definition."""

    def __init__(self, folder: Path, account: Account, redis: TlsRedisServer, pool: str) -> None:
        super().__init__(folder, account, redis, REDIS_URL=redis.url)
        self._elsewhere = {
            "PATH": self.environment["PATH"],
            "PORT": str(self.port),
            "SSL_CERT_FILE": str(redis.authority),
            "COGNITO_JWKS_URL": f"{account.url}/{pool}/.well-known/jwks.json",
            **account.environment,
        }
        self.environment |= self._task_environment("web")

    def start(self, role: str) -> None:
        (command,) = self._container(role)["command"]
        entrypoint = [str(PROJECT / "docker" / "entrypoint"), command]
        environment = self._elsewhere | self._task_environment(role)
        self.processes[role] = start_process(role, entrypoint, environment, self.folder)

    def _task_environment(self, role: str) -> dict[str, str]:
        container = self._container(role)
        plain = {pair["name"]: pair["value"] for pair in container["environment"]}
        assert len(container["secrets"]) == 1
        return plain | {"REDIS_URL": self.redis.url}

    def _container(self, role: str) -> Any:
        assert isinstance(self.ministack, Account)
        return self.ministack.container(f"service-{role}")


@dataclass
class Deployment:
    account: Account
    data: Mapping[str, str]
    tasks: Tasks

    def token(self, client: str, *scopes: str) -> str:
        """A token of the user `<client>@example.com`, from the app of the same name."""
        login = Login(self.account.url, self.data[f"{client.title()}ClientId"], REDIRECT)
        wanted = [f"wildrydes/{scope}" for scope in scopes]
        return login.sign_in(f"{client}@example.com", PASSWORD, wanted).access_token


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("ecs")
    with Account(folder / "aws") as account, TlsRedisServer(folder / "redis") as redis:
        data = account.deploy(
            "data.yaml",
            RiderUrls=REDIRECT,
            DriverUrls=REDIRECT,
            ConsoleUrls=REDIRECT,
            LoginDomain="wildrydes-test",
            Branding="false",  # the emulator knows no AWS::Cognito::ManagedLoginBranding
        )
        names = ("RidesTable", "UnicornsTable", "OperationsTable", "UserPoolId", "ClientIds")
        account.deploy(
            "service.yaml",
            PublicUrl="https://rides.example.com",
            Image="wildrydes-dispatch@sha256:" + "0" * 64,
            **account.network(),
            **{name: data[name] for name in names},
        )
        with Tasks(folder, account, redis, data["UserPoolId"]) as tasks:
            yield Deployment(account, data, tasks)


def test_a_ride_goes_all_the_way_through_what_the_stacks_made(deployment: Deployment) -> None:
    pool, call = deployment.data["UserPoolId"], deployment.tasks.call
    deployment.account.sign_up(pool, "rider@example.com")
    deployment.account.sign_up(pool, "console@example.com", "admin")
    driver_sub = deployment.account.sign_up(pool, "driver@example.com", "unicorns")
    admin = deployment.token("console", "admin")
    rider = deployment.token("rider", "rides.read", "rides.write")
    driver = deployment.token("driver", "fleet.drive")

    unicorn = {"name": "Shadowfax", "color": "White", "gender": "Male", "account_sub": driver_sub}
    enrolled = call("POST", "/v1/admin/unicorns", unicorn | {"location": PICKUP}, token=admin)
    assert enrolled.status == 201, enrolled.json
    call("PUT", "/v1/fleet/me/availability", {"available": True}, token=driver)
    ride = call("POST", "/v1/rides", {"pickup": PICKUP}, token=rider, Prefer="wait=10")
    assert (ride.status, ride.json["status"]) == (201, "matched"), ride.json
    for step in ("arrive", "start", "complete"):
        path = f"/v1/fleet/me/rides/{ride.json['ride_id']}/{step}"
        assert call("POST", path, token=driver).status == 200
    table = deployment.account.client("dynamodb")
    key = {"ride_id": {"S": ride.json["ride_id"]}}
    stored = table.get_item(TableName=deployment.data["RidesTable"], Key=key)["Item"]
    assert stored["status"] == {"S": "completed"}


def test_the_tasks_reach_the_cache_by_tls_with_a_generated_password(deployment: Deployment) -> None:
    secrets = deployment.account.client("secretsmanager")
    known = {
        secret["Description"]: secret["ARN"] for secret in secrets.list_secrets()["SecretList"]
    }
    values = {
        name: secrets.get_secret_value(SecretId=arn)["SecretString"] for name, arn in known.items()
    }
    password = values["AUTH token of the cache"]
    assert len(password) == 64
    assert values["REDIS_URL of the service"].startswith(f"rediss://:{password}@")
