"""The CloudFormation stacks, deployed to the emulator, and a ride through what they made.

The tasks run as processes with the environment of the deployed task definitions; only addresses
are replaced. The cache is a real server with TLS and a password, as ElastiCache is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from service.local.login import Login
from service.local.processes import Program
from tests.support.infrastructure import CREDENTIALS, PROJECT, MiniStack
from tests.support.stack import Stack, start_process
from tests.support.tls import TlsRedisServer

TEMPLATES = PROJECT / "docker" / "ecs"
REDIRECT = "http://127.0.0.1:8080/"
PASSWORD = "Aa1-correct-horse"
PICKUP = {"latitude": 40.7128, "longitude": -74.006}


class Account(MiniStack):
    """All of the emulated AWS, not only what the development stack needs."""

    def program(self) -> Program:
        program = super().program()
        environment = {k: v for k, v in program.environment.items() if k != "SERVICES"}
        return replace(program, environment=environment)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def deploy(self, template: str, **parameters: str) -> dict[str, str]:
        """Create the stack and return its outputs."""
        name, formation = template.partition(".")[0], self.client("cloudformation")
        formation.create_stack(
            StackName=name,
            TemplateBody=(TEMPLATES / template).read_text(),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        stack = self._settled(formation, name)
        assert stack["StackStatus"] == "CREATE_COMPLETE", formation.describe_stack_events(
            StackName=name
        )["StackEvents"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _settled(self, formation: Any, name: str) -> Any:
        while True:
            (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return stack
            time.sleep(0.1)

    def network(self) -> dict[str, str]:
        """The parameters of service.yaml that are somebody else's work."""
        ec2, acm = self.client("ec2"), self.client("acm")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = ",".join(
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{self.region}{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        )
        certificate = acm.request_certificate(DomainName="rides.example.com")["CertificateArn"]
        return {
            "VpcId": vpc,
            "PublicSubnets": subnets,
            "PrivateSubnets": subnets,
            "CertificateArn": certificate,
        }

    def container(self, family: str) -> Any:
        """The container of the newest task definition of this family."""
        ecs = self.client("ecs")
        task = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        (container,) = task["containerDefinitions"]
        return container

    def sign_up(self, pool: str, email: str, group: str | None = None) -> str:
        """A confirmed user; returns its `sub`."""
        cognito = self.client("cognito-idp")
        user = {"UserPoolId": pool, "Username": email}
        cognito.admin_create_user(**user, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**user, Password=PASSWORD, Permanent=True)
        if group:
            cognito.admin_add_user_to_group(**user, GroupName=group)
        attributes = cognito.admin_get_user(**user)["UserAttributes"]
        return str(next(a["Value"] for a in attributes if a["Name"] == "sub"))


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
        """Of the user `<client>@example.com`, by the app of the same name."""
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


def test_the_tasks_reach_the_cache_by_tls_with_a_generated_password(
    deployment: Deployment,
) -> None:
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
