"""Starts what is measured: a separate stack of the service, or one more server on its settings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.infrastructure import MiniStack, RedisServer, free_port, wait_until
from tests.support.stack import ROLES, Stack, answers, start_process


@contextmanager
def stage(*, roles: tuple[str, ...] = ROLES, **settings: str) -> Iterator[Stack]:
    """A stack in a temporary folder; clients that this process makes find its AWS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            MiniStack(folder / "aws") as ministack,
            RedisServer(folder / "redis") as redis,
            Stack(folder, ministack, redis, roles=roles, **settings) as stack,
        ):
            os.environ.update(ministack.environment)
            yield stack


@contextmanager
def served(
    stack: Stack, name: str, app: str = "service.entrypoints.wsgi:app", **settings: str
) -> Iterator[tuple[int, int]]:
    """The port and process of this application, on the service's own server settings."""
    port = free_port()
    command = ["gunicorn", "--config", "python:service.entrypoints.gunicorn", app]
    environment = stack.environment | {"PORT": str(port), **settings}
    process = start_process(name, command, environment, stack.folder)
    try:
        wait_until(lambda: answers(port), f"start of {name}")
        yield port, process.pid
    finally:
        process.stop(grace=10)
