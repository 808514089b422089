"""Containers run as ECS runs them: rendered from the task definitions of docker/ecs.

Nothing of a definition is replaced. The names it leads to (DynamoDB, Cognito, S3, the cache) are
those of stand-ins on a network of their own, which prove by TLS that they are who they say.
"""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

from service.local.templates import Template
from tests.support.infrastructure import CREDENTIALS
from tests.support.tls import DOOR, certify

IMAGE = "wildrydes-dispatch"
VALKEY = "valkey/valkey:8-trixie"
MINISTACK = "ministackorg/ministack:1.5.33"
REGION = "us-east-1"
CACHE = "primary.cache.internal"
AWS_NAMES = tuple(
    f"{name}.{REGION}.amazonaws.com" for name in ("dynamodb", "cognito-idp", "photos.s3", "s3")
)


def why_not() -> str | None:
    """What is missing to run containers here; None if nothing is."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    engine = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30)
    return None if engine.returncode == 0 else "no Docker engine answers"


def docker(*arguments: str) -> str:
    """Run a docker command; returns what it prints. Fails the test if the command fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {shlex.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@cache
def declared_volumes(image: str) -> frozenset[str]:
    """The paths that an image declares as volumes."""
    return frozenset(json.loads(docker("image", "inspect", image))[0]["Config"]["Volumes"] or ())


RENDERED = {
    *("Command", "Environment", "Essential", "HealthCheck", "Image", "LinuxParameters"),
    *("LogConfiguration", "MountPoints", "Name", "PortMappings", "ReadonlyRootFilesystem"),
    *("Secrets", "StopTimeout", "User"),
}
"""What a definition may say; anything else would be passed over in silence."""


def rendered(task: Any, container: Any, secret_values: Mapping[str, str]) -> list[str]:
    """The options of `docker run` that a container's definition means on Fargate.

    Fargate gives a mounted volume the owner that its path has in the image only where the image
    declares the path; otherwise it is an empty directory of root's.
    """
    assert container.keys() <= RENDERED
    megabytes = f"{task['Memory']}m"
    options = [
        *("--cpus", str(int(task["Cpu"]) / 1024)),
        *("--memory", megabytes, "--memory-swap", megabytes),
        *("--user", container["User"]),
        # Without one, Fargate waits for 30 s.
        *("--stop-timeout", str(container.get("StopTimeout", 30))),
        *("--log-opt", f"mode={container['LogConfiguration']['Options'].get('mode', 'blocking')}"),
        *(_health(container["HealthCheck"]) if "HealthCheck" in container else ()),
    ]
    if container["ReadonlyRootFilesystem"]:
        options.append("--read-only")
    if container.get("LinuxParameters", {}).get("InitProcessEnabled"):
        options.append("--init")
    for mount in container.get("MountPoints", ()):
        path = mount["ContainerPath"]
        copied = "" if path in declared_volumes(container["Image"]) else ",volume-nocopy"
        options += ["--mount", f"type=volume,destination={path}{copied}"]
    for pair in container["Environment"]:
        options += ["--env", f"{pair['Name']}={pair['Value']}"]
    for pair in container.get("Secrets", ()):
        options += ["--env", f"{pair['Name']}={secret_values[pair['ValueFrom']]}"]
    for port in container.get("PortMappings", ()):
        options += ["--publish", f"127.0.0.1::{port['ContainerPort']}"]
    return options


def _health(check: Any) -> list[str]:
    kind, *command = check["Command"]
    assert kind == "CMD"
    return [
        *("--health-cmd", shlex.join(command)),
        *("--health-interval", f"{check['Interval']}s"),
        *("--health-timeout", f"{check['Timeout']}s"),
        *("--health-retries", str(check["Retries"])),
        *("--health-start-period", f"{check['StartPeriod']}s"),
    ]


def health_of(container: str) -> str:
    """starting, healthy or unhealthy; fails the test if the container does not run."""
    state = json.loads(docker("inspect", container))[0]["State"]
    assert state["Running"], docker("logs", "--tail", "50", container)
    return str(state["Health"]["Status"])


class Place:
    """A network with the stand-ins, and the tasks that run in it; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._name = f"wildrydes-{uuid.uuid4().hex[:8]}"
        self._folder = folder
        self.password = secrets.token_hex(32)
        self._containers: list[str] = []
        self.tasks: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        certificate, key = self._folder / "certificate.pem", self._folder / "key.pem"
        certify(certificate, key, CACHE, *AWS_NAMES)
        for path in (certificate, key):
            path.chmod(0o644)
        self._folder.chmod(0o755)
        docker("network", "create", self._name)
        self.aws = self._run("aws", *self._aws_settings(), MINISTACK)
        self._run(
            "door",
            *(f"--network-alias={name}" for name in AWS_NAMES),
            f"--volume={DOOR}:/door.py:ro",
            "--entrypoint=python",
            *(IMAGE, "/door.py", "/tls", "0.0.0.0", "443", f"{self._name}-aws", "4566"),
        )
        self._run(
            "cache",
            f"--network-alias={CACHE}",
            VALKEY,
            *("valkey-server", "--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no"),
            *("--tls-cert-file", "/tls/certificate.pem", "--tls-key-file", "/tls/key.pem"),
            *("--tls-ca-cert-file", "/tls/certificate.pem", "--requirepass", self.password),
            *("--bind", "0.0.0.0", "--save", "", "--maxmemory-policy", "noeviction"),
        )

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", *self._containers)
        docker("network", "rm", self._name)

    @staticmethod
    def _aws_settings() -> list[str]:
        settings = CREDENTIALS | {
            "BIND_HOST": "0.0.0.0",
            "GATEWAY_PORT": "4566",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": "WARNING",
        }
        published = ["--publish", "127.0.0.1::4566"]
        return published + [part for pair in settings.items() for part in ("--env", "=".join(pair))]

    def _run(self, name: str, *arguments: str) -> str:
        """Start a container in the network. Options come before the image, as docker wants them."""
        at = next(n for n, each in enumerate(arguments) if each in (IMAGE, VALKEY, MINISTACK))
        options, image = arguments[:at], arguments[at:]
        full = f"{self._name}-{name}"
        self._containers.append(full)
        docker(
            *("run", "--detach", "--name", full, "--network", self._name),
            f"--volume={self._folder}:/tls:ro",
            *options,
            *image,
        )
        return full

    def start(self, template: Template, task_name: str) -> None:
        """Start the container of a task definition, in place of the one of this name before."""
        name, options = self._task(template, task_name)
        self.tasks[name] = self._run(f"{name}-{uuid.uuid4().hex[:4]}", *options)

    def run(self, template: Template, task_name: str, *command: str) -> str:
        """Run a command in the container of a task definition; returns what it prints."""
        name, options = self._task(template, task_name)
        options = options[: options.index(IMAGE) + 1]
        container = self._run(f"{name}-{uuid.uuid4().hex[:4]}", *options, *command)
        exit_code = docker("wait", container)
        assert exit_code == "0", self.log(container)
        return docker("logs", container)

    def _task(self, template: Template, task_name: str) -> tuple[str, list[str]]:
        """The name of the definition's container, and the arguments that start it."""
        task = template.properties(task_name)
        (container,) = task["ContainerDefinitions"]
        assert container["Image"] == IMAGE
        return container["Name"], [
            *rendered(task, container, {"RedisUrl": self._redis_url}),
            # A task gets credentials from its role, and knows the authorities of the public web.
            *(part for pair in CREDENTIALS.items() for part in ("--env", "=".join(pair))),
            *("--env", "AWS_CA_BUNDLE=/tls/certificate.pem"),
            *("--env", "SSL_CERT_FILE=/tls/certificate.pem"),
            *(IMAGE, *container["Command"]),
        ]

    @property
    def _redis_url(self) -> str:
        """The value of the secret as CloudFormation would put it together."""
        names = {"Cache.PrimaryEndPoint.Address": CACHE, "Cache.PrimaryEndPoint.Port": "6379"}
        secret = Template("service.yaml", resources=names).properties("RedisUrl")
        password = "{{resolve:secretsmanager:CachePassword}}"
        return str(secret["SecretString"]).replace(password, self.password)

    def port(self, container: str, inside: int) -> int:
        """The port of this machine's loopback that leads to a container's."""
        return int(docker("port", container, str(inside)).splitlines()[0].rpartition(":")[2])

    def state(self, container: str) -> Any:
        return json.loads(docker("inspect", container))[0]["State"]

    def log(self, container: str) -> str:
        done = subprocess.run(
            ["docker", "logs", "--tail", "200", container],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr
