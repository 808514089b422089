"""Web, worker and beat go on while the disk of their logs, counters and liveness files is full."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import urllib3

from service.local import procfile
from service.local.processes import Process, Program
from tests.support.infrastructure import (
    PROJECT,
    MiniStack,
    RedisServer,
    three_free_ports,
    wait_until,
)
from tests.support.stack import ROLES, Stack, answers
from worker import liveness

HERE: Final = {"latitude": 40.7128, "longitude": -74.0060}
LIMITED: Final = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
os.execv(sys.argv[1], sys.argv[1:])
"""


class StackOnFullDisk(Stack):
    """Each write to a log fails with ENOSPC, and no file grows beyond 4 KiB (EFBIG). A file system
    that is really full would need the rights to mount one."""

    def start(self, role: str, *more: str) -> None:
        name, *arguments = (*procfile.read(PROJECT / "Procfile")[role], *more)
        command = str(Path(sys.executable).parent / name)
        self.processes[role] = Process(
            Program(
                name=role,
                command=[sys.executable, "-c", LIMITED, command, *arguments],
                environment={
                    **self.environment,
                    "LIVENESS_FILE": str(self.alive(role)),
                    # Python would leave cut-off .pyc files in the checkout.
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                folder=PROJECT,
                log=Path("/dev/full"),
            )
        )

    def alive(self, role: str) -> Path:
        return self.folder / f"{role}.alive"


@pytest.fixture
def stack(tmp_path: Path, ministack: MiniStack) -> Iterator[StackOnFullDisk]:
    port = three_free_ports()
    with (
        RedisServer(tmp_path / "redis") as redis,
        StackOnFullDisk(tmp_path, ministack, redis, roles=(), METRICS_PORT=str(port)) as stack,
    ):
        for role in ROLES:
            stack.start(role)
        wait_until(lambda: answers(stack.port), "an answer of the API")
        yield stack


def test_a_full_disk_stops_no_process_and_costs_no_ride(stack: StackOnFullDisk) -> None:
    stack.on_duty("driver-1", HERE)
    rider = stack.rider_token("rider-1")
    ride = stack.call("POST", "/v1/rides", {"pickup": HERE}, token=rider, Prefer="wait=30")
    assert ride.status == 201, ride.body
    for offset in range(len(ROLES)):
        assert scraped(int(stack.environment["METRICS_PORT"]) + offset) == 200
    for role in ("worker", "beat"):
        assert is_touched_again(stack.alive(role))
    for role in reversed(ROLES):
        assert stack.processes[role].exit_code is None
        assert ended(stack.processes[role]) == 0, role


def scraped(port: int) -> int:
    """The status of a scrape; what it counts does not matter."""
    url = f"http://127.0.0.1:{port}/metrics"
    return urllib3.request("GET", url, timeout=20, retries=False).status


def is_touched_again(file: Path) -> bool:
    before = file.stat().st_mtime
    wait_until(lambda: file.stat().st_mtime > before, f"a touch of {file.name}")
    return True


def ended(process: Process) -> int | None:
    """The exit code after SIGTERM."""
    process.send(signal.SIGTERM)
    wait_until(lambda: process.exit_code is not None, "the end of the process")
    return process.exit_code


def test_a_liveness_file_that_cannot_be_made_is_reported_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(liveness, "_file", tmp_path / "missing" / "alive")
    for _ in range(3):
        liveness.touch()
    (record,) = caplog.records
    assert record.message == "the liveness file could not be touched"
