"""The development stack's supervisor, on small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.local import occupancy
from service.local.occupancy import Occupancy
from service.local.processes import Program
from service.local.stack import StackError
from service.local.supervisor import BACK_OFF_SECONDS, Supervisor
from tests.support.infrastructure import PROJECT, wait_until

ENDS_ON_REQUEST = "trap 'date +%s%N > {name}.ended; exit 0' TERM; touch {name}; sleep 60 & wait"
IGNORES_REQUESTS = "trap '' TERM; touch {name}; sleep 60 & wait; sleep 60 & wait"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    occupied = Occupancy(tmp_path)
    supervisor = Supervisor(occupied, say=lambda line: None)
    yield supervisor
    supervisor.stop()
    occupied.leave()


def program(folder: Path, name: str, script: str = ENDS_ON_REQUEST) -> Program:
    return Program(
        name=name,
        command=["sh", "-c", script.format(name=name)],
        environment=os.environ,
        folder=folder,
        log=folder / f"{name}.log",
    )


def started(supervisor: Supervisor, folder: Path, name: str, script: str = ENDS_ON_REQUEST) -> int:
    """Start it and wait until it has set its trap; returns its process id."""
    supervisor.start(program(folder, name, script))
    supervisor.wait_until((folder / name).exists, name, 60)
    return int(occupancy.noted(folder)["groups"][name])


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_process_is_started_again_after_the_back_off(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    first = started(supervisor, tmp_path, "worker")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not supervisor.is_running("worker"), "its end")

    noticed = time.monotonic()
    assert supervisor.restart_dead(noticed) == []
    wait_until(lambda: not is_alive(first), "the end of what the dead process had started")
    assert supervisor.restart_dead(noticed + BACK_OFF_SECONDS / 2) == []
    assert supervisor.restart_dead(noticed + BACK_OFF_SECONDS) == ["worker"]

    assert supervisor.is_running("worker")
    assert occupancy.noted(tmp_path)["groups"]["worker"] != first


def test_a_process_that_ends_at_its_first_start_is_an_error_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(program(tmp_path, "web", "echo cannot bind; exit 3"))
    with pytest.raises(StackError, match=r"web ended at its start:\ncannot bind"):
        supervisor.wait_until(lambda: False, "the service", 10)


def test_stopping_ends_web_before_worker_before_stores(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    for name in ("aws", "worker", "web"):
        started(supervisor, tmp_path, name)
    supervisor.stop()
    ended = {
        name: int((tmp_path / f"{name}.ended").read_text()) for name in ("web", "worker", "aws")
    }
    assert sorted(ended, key=ended.__getitem__) == ["web", "worker", "aws"]


def test_a_process_that_ignores_the_request_to_end_is_killed_with_its_children(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    stubborn = started(supervisor, tmp_path, "web", IGNORES_REQUESTS)
    supervisor.stop_together(["web"], grace=0.2)
    wait_until(lambda: not is_alive(stubborn), "the end of the group")


def test_a_second_supervisor_is_refused_while_anything_of_the_stack_runs(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    started(supervisor, tmp_path, "web")
    with pytest.raises(StackError, match="already running"):
        Occupancy(tmp_path)


def test_what_a_killed_supervisor_left_behind_is_ended(tmp_path: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path\n"
        "from service.local.occupancy import Occupancy\n"
        "from service.local.supervisor import Supervisor\n"
        "from service.local.processes import Program\n"
        "folder = Path(sys.argv[1]); supervisor = Supervisor(Occupancy(folder), print)\n"
        "supervisor.start(Program(name='web', command=['sleep', '60'], environment=os.environ,\n"
        "    folder=folder, log=folder / 'web.log'))\n"
        "(folder / 'up').touch(); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT) as killed:
        wait_until((tmp_path / "up").exists, "the start")
        killed.kill()
    orphan = occupancy.noted(tmp_path)["groups"]["web"]
    assert is_alive(orphan)

    occupancy.stop(tmp_path)

    wait_until(lambda: not is_alive(orphan), "the orphan's end")
    Occupancy(tmp_path).leave()
