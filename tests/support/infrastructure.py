"""Real parts for the tests: one embedded AWS, one Redis server, on free ports of 127.0.0.1.

Both come from the development stack's own virtual environment, which `make test` creates.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
from botocore.config import Config

from service.local import emulators
from service.local.processes import Process, Program

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PROJECT = Path(__file__).parents[2]
ENVIRONMENTS = PROJECT / ".local" / "venv"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "test"}
START_SECONDS = 90.0
"""Long, because a start takes half a minute on a busy machine."""
ANSWERS: Final[Mapping[str, Callable[[int], bool]]] = {
    "aws": emulators.ministack_answers,
    "redis": emulators.redis_answers,
}
"""Whether a program answers on its port, by its name."""


_FIRST_PORT: Final = 12_000 + 2_500 * (
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
)
_STEPS: Final = itertools.count(secrets.randbelow(250))


def free_port() -> int:
    """A port on which nobody listens right now; the next nine are usually free as well.

    Below 32,768, where Linux takes no ports for outgoing connections: one of those could take the
    port before its server does. Each process of a parallel run has a range of its own.
    """
    while True:
        port = _FIRST_PORT + 10 * (next(_STEPS) % 250)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((emulators.HOST, port))
            return port


def three_free_ports() -> int:
    """The first of three free ports in a row, one for the metrics of each role."""
    while True:
        first = free_port()
        if first < 65000 and not any(emulators.listens(first + offset) for offset in range(3)):
            return first


def wait_until(happened: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until it is true; fails the test, naming `what`, if it never is."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)


class Server:
    """A server process on a free port; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: Process | None = None

    def program(self) -> Program:
        raise NotImplementedError

    @property
    def process(self) -> Process:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> None:
        program = self.program()
        self._process = process = Process(program)
        answers = ANSWERS[program.name]
        try:
            wait_until(
                lambda: process.exit_code is not None or answers(self.port),
                f"the start of {program.name}",
            )
            assert process.exit_code is None, f"{program.name} ended"
        except BaseException as error:
            process.sweep()
            error.add_note(process.last_lines())
            raise

    def stop(self) -> None:
        """End it as an operator would: SIGTERM, and time to write its state."""
        self.process.stop(grace=20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class MiniStack(Server):
    """Embedded AWS: DynamoDB and Cognito behind one endpoint."""

    region = emulators.REGION

    def program(self) -> Program:
        return emulators.ministack(
            ENVIRONMENTS, self.folder, self.port, CREDENTIALS, self.folder / "aws.log"
        )

    @property
    def url(self) -> str:
        return f"http://{emulators.HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to talk to this AWS by boto3's own rules."""
        return CREDENTIALS | {
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": self.url,
        }

    def dynamodb_client(self) -> DynamoDBClient:
        config = Config(retries={"total_max_attempts": 2}, max_pool_connections=50)
        client: DynamoDBClient = self.client("dynamodb", config=config)
        return client

    def client(self, service: str, **options: Any) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            **options,
        )


class RedisServer(Server):
    """A real Redis-protocol server whose data survives `restart`, not `lose_everything`."""

    def program(self) -> Program:
        return emulators.redis(ENVIRONMENTS, self.folder, self.port, self.folder / "redis.log")

    @property
    def url(self) -> str:
        return f"redis://{emulators.HOST}:{self.port}/0"

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL: gone without a word; `start` brings it back with what it had appended."""
        self.process.sweep()

    def lose_everything(self) -> None:
        """Killed and back, empty."""
        self.kill()
        for path in sorted(self.folder.rglob("*.aof*"), reverse=True):
            path.unlink()
        self.start()

    def pause(self) -> None:
        """Stop answering while connections stay open, as a hung server does; until `resume`."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)
