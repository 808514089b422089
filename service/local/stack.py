"""One development stack: its folder, its ports, its secrets. Several may run side by side."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError

from service.local.emulators import HOST, REGION
from service.local.install import EMULATORS, PROJECT
from service.observability.exposition import NAMES
from service.setting_types import Region
from service.settings import faults_of, read


class StackError(Exception):
    """A failure of the stack, with a message for the person at the terminal."""


@contextmanager
def faults_named() -> Iterator[None]:
    """Turn errors of settings into a `StackError`."""
    try:
        yield
    except ValidationError as error:
        faults = [f"  {fault}" for fault in faults_of(error)]
        raise StackError("\n".join(["bad settings:", *faults])) from error


Port = Annotated[int, Field(ge=1, le=65535)]


class StackSettings(BaseModel):
    """Settings of the stack itself, not of the service in it."""

    port: Port = 8080
    aws_port: Port = 4566
    redis_port: Port = 6380
    monitor_port: Port = 5555
    roads_port: Port = 5001
    """The routing engine's, with `ROADS`; OSRM's own default, 5000, is taken on a Mac."""
    aws_region: Region = REGION
    allowed_email_domains: str = ""
    """Domains whose e-mail addresses may sign up; see `service.identity.pre_sign_up`."""
    herd: bool = True
    herd_speed: float = Field(20.0, gt=0, allow_inf_nan=False)

    @classmethod
    def given(cls) -> Self:
        """Raises `StackError` naming what is wrong."""
        with faults_named():
            return read(cls, os.environ)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of 127.0.0.1 that the stack listens on."""

    web: int
    aws: int
    redis: int
    monitor: int
    roads: int

    @classmethod
    def consecutive(cls, first: int) -> Self:
        return cls(*range(first, first + len(fields(cls))))

    @classmethod
    def of(cls, settings: StackSettings) -> Self:
        return cls(*(getattr(settings, _setting(each.name).lower()) for each in fields(cls)))

    def require_free(self, metrics_port: int) -> None:
        """Raises `StackError` naming each taken port, who wants it and how to choose another.

        A port that two want is taken, too. `metrics_port`: the first of the ports on which the
        roles serve metrics, 0 if they do not.
        """
        wanted = [(port, name, _setting(name)) for name, port in asdict(self).items()]
        if metrics_port:
            wanted += [
                (metrics_port + number, f"the metrics of {role}", "METRICS_PORT")
                for number, role in enumerate(NAMES)
            ]
        times = Counter(port for port, _, _ in wanted)
        taken = [
            f"port {port}, wanted by {name}, is taken: set {setting} to another"
            for port, name, setting in wanted
            if times[port] > 1 or not _is_free(port)
        ]
        if taken:
            raise StackError("\n".join(taken))


def _setting(name: str) -> str:
    """The setting of this port."""
    return "PORT" if name == "web" else f"{name.upper()}_PORT"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers set it: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once per stack and kept in its folder, readable by its owner only."""

    aws_access_key_id: str
    aws_secret_access_key: str
    demo_password: str
    monitor_password: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        path = folder / "secrets.json"
        if not path.exists():
            write_private(path, json.dumps(asdict(cls._new()), indent=2))
        return cls(**json.loads(path.read_text()))

    @classmethod
    def _new(cls) -> Self:
        return cls(
            aws_access_key_id="AKIA" + secrets.token_hex(8).upper(),
            aws_secret_access_key=secrets.token_hex(20),
            # With a character of each kind that the pool's policy demands.
            demo_password=f"Aa1-{secrets.token_urlsafe(12)}",
            monitor_password=secrets.token_urlsafe(16),
        )

    @property
    def aws_credentials(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.aws_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.aws_secret_access_key,
        }


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack: its folder, ports and secrets."""

    folder: Path
    ports: Ports
    secrets: Secrets
    region: str = REGION
    project: Path = PROJECT
    emulators: Path = EMULATORS

    @classmethod
    def create(cls, folder: Path, ports: Ports, region: str = REGION) -> Self:
        """A stack that is about to start in this folder, for the first time or again."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder.resolve(), ports, Secrets.of(folder), region)

    @classmethod
    def existing(cls, folder: Path) -> Self:
        """The stack that was started in this folder, with its ports."""
        try:
            ports = Ports(**json.loads((folder / "ports.json").read_text()))
        except FileNotFoundError as error:
            raise StackError(f"no stack was ever started in {folder}: `make run`") from error
        return cls(folder.resolve(), ports, Secrets.of(folder))

    def remember_ports(self) -> None:
        write_private(self.folder / "ports.json", json.dumps(asdict(self.ports)))

    @property
    def web_url(self) -> str:
        return f"http://{HOST}:{self.ports.web}"

    @property
    def aws_url(self) -> str:
        return f"http://{HOST}:{self.ports.aws}"

    @property
    def redis_url(self) -> str:
        return f"redis://{HOST}:{self.ports.redis}/0"

    @property
    def roads_url(self) -> str:
        """Base URL of the routing engine; empty without one (`ROADS`)."""
        return f"http://{HOST}:{self.ports.roads}" if self.extract else ""

    @property
    def extract(self) -> Path | None:
        """The OpenStreetMap extract to prepare for the routing engine."""
        named = os.environ.get("ROADS")
        return Path(named) if named else None

    @property
    def monitor_url(self) -> str:
        prefix = os.environ.get("FLOWER_URL_PREFIX", "").strip(" /")
        return f"http://{HOST}:{self.ports.monitor}/{prefix}".rstrip("/")

    @property
    def logs(self) -> Path:
        return self.folder / "logs"


def write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
