"""The liveness file is fresh if and only if the main loop turns, whatever Redis does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, wait_until
from tests.support.stack import Stack


def is_alive(file: Path) -> bool:
    """What the container's health check says."""
    command = [PROJECT / "docker" / "alive"]
    done = subprocess.run(command, env={**os.environ, "LIVENESS_FILE": str(file)}, check=False)
    return done.returncode == 0


def age(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def is_touched_again(file: Path) -> bool:
    """Wait until the file is touched again."""
    before = file.stat().st_mtime
    wait_until(lambda: file.stat().st_mtime > before, f"a touch of {file.name}")
    return True


@pytest.fixture(scope="module", params=["worker", "beat"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def redis(role: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="module")
def file(role: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("liveness") / "alive"


@pytest.fixture(scope="module")
def stack(
    role: str,
    file: Path,
    redis: RedisServer,
    ministack: MiniStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, ministack, redis, roles=(role,), LIVENESS_FILE=str(file)) as stack:
        wait_until(file.exists, "the liveness file")
        yield stack


def test_a_turning_loop_touches_its_file(stack: Stack, file: Path) -> None:
    assert is_touched_again(file)
    assert is_alive(file)


def test_a_process_whose_loop_stands_still_is_not_alive(
    stack: Stack, role: str, file: Path
) -> None:
    process = stack.processes[role].pid
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(0.2)
        stopped_at = file.stat().st_mtime
        time.sleep(3)
        assert file.stat().st_mtime == stopped_at
        # Half a minute later, without waiting for it.
        os.utime(file, (stopped_at - 30, stopped_at - 30))
        assert not is_alive(file)
    finally:
        os.kill(process, signal.SIGCONT)
    assert is_touched_again(file)


def test_without_redis_the_processes_are_alive(
    stack: Stack, role: str, file: Path, redis: RedisServer
) -> None:
    redis.process.stop(grace=5)
    wait_until(lambda: "Connection refused" in stack.log(role), "that somebody noticed")
    for _ in range(3):
        assert is_touched_again(file)
    assert is_alive(file)


def test_a_missing_file_is_not_alive(tmp_path: Path) -> None:
    assert not is_alive(tmp_path / "never")
