"""Servers of the tests that do not start leave no process behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.stack import Stack


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, as if it took too long."""

    def give_up(*_: object) -> None:
        raise AssertionError("too late")

    for module in ("infrastructure", "stack"):
        monkeypatch.setattr(f"tests.support.{module}.wait_until", give_up)


def test_a_server_that_does_not_start_leaves_nothing_behind(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with pytest.raises(AssertionError, match="too late"), server:
        pass
    assert server.process.exit_code is not None


def test_a_stack_that_does_not_get_ready_leaves_nothing_behind(
    ministack: MiniStack, redis_server: RedisServer, tmp_path: Path
) -> None:
    stack = Stack(tmp_path, ministack, redis_server)
    with pytest.raises(AssertionError, match="too late"), stack:
        pass
    assert stack.processes
    assert all(process.exit_code is not None for process in stack.processes.values())
