"""Starts a separate stack of the service to be measured."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.stack import ROLES, Stack


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
