"""The metrics of several processes add up, and keep the counts of dead ones."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from service.observability import directory
from service.observability.exposition import Role
from service.observability.files import FIRST_BYTES

COUNT = """
import os, sys
from service.observability.instruments import IN_FLIGHT, REFUSALS, SWEPT, TIME_TO_MATCH
REFUSALS.labels("missing_token").inc(int(sys.argv[1]))
TIME_TO_MATCH.observe(0.2)
IN_FLIGHT.inc()
SWEPT.set(int(sys.argv[1]))
print("counted", flush=True)
sys.stdin.read()
"""


class Counting:
    """A process that has counted and waits for its end."""

    def __init__(self, folder: Path, amount: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(amount)],
            env={**os.environ, directory.VARIABLE: str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"counted\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def exposed(folder: Path) -> Mapping[str, float]:
    registry = CollectorRegistry()
    registry.register(Role(folder, "1.2.3", "abc123"))
    lines = generate_latest(registry).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line[0] != "#")
    return {name: float(value) for name, _, value in samples}


def test_the_counts_of_all_processes_add_up_and_survive_their_processes(tmp_path: Path) -> None:
    first, second = Counting(tmp_path, 1), Counting(tmp_path, 2)
    try:
        both = exposed(tmp_path)
        first.kill()
        one = exposed(tmp_path)
        again = exposed(tmp_path)
    finally:
        first.kill()
        second.kill()
    none = exposed(tmp_path)
    for found in (both, one, again, none):
        assert found['wildrydes_refusals_total{reason="missing_token"}'] == 3
        assert found['wildrydes_time_to_match_seconds_bucket{le="0.25"}'] == 2
        assert found["wildrydes_time_to_match_seconds_count"] == 2
        assert found["wildrydes_sweep_last_run_timestamp_seconds"] == 2
    assert [f["wildrydes_processes"] for f in (both, one, again, none)] == [2, 1, 1, 0]
    assert both["wildrydes_http_requests_in_flight"] == 2
    assert again["wildrydes_http_requests_in_flight"] == 1
    assert "wildrydes_http_requests_in_flight" not in none


def test_a_role_says_what_it_was_built_from(tmp_path: Path) -> None:
    process = Counting(tmp_path, 1)
    try:
        found = exposed(tmp_path)
    finally:
        process.kill()
    assert found['wildrydes_build_info{revision="abc123",version="1.2.3"}'] == 1


def test_dead_processes_leave_no_files_behind(tmp_path: Path) -> None:
    for amount in range(3):
        Counting(tmp_path, amount).kill()
        exposed(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "counter_dead.db",
        "histogram_dead.db",
        "gauge_max_dead.db",
        "lock",
    }


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's /proc")
def test_memory_is_that_of_all_living_processes(tmp_path: Path) -> None:
    process = Counting(tmp_path, 1)
    try:
        assert exposed(tmp_path)["wildrydes_memory_bytes"] > 1e6
    finally:
        process.kill()


def test_a_process_without_room_for_metrics_goes_on_and_logs_it_once(tmp_path: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n{COUNT}"
    done = run_counting(limited, tmp_path)
    assert done.stdout == "counted\n"
    assert done.stderr.count("no room for metrics") == 1
    assert "wildrydes_refusals_total" not in str(exposed(tmp_path))


def test_series_without_room_are_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    room = 4 * FIRST_BYTES  # the series that each process counts from zero fit in
    many = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room},) * 2)\n{COUNT}"
        "for number in range(1000): REFUSALS.labels(f'reason {number}').inc()\n"
        "REFUSALS.labels('missing_token').inc()\n"
    )
    done = run_counting(many, tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("no room for metrics") == 1
    found = exposed(tmp_path)
    assert found['wildrydes_refusals_total{reason="missing_token"}'] == 6
    assert 'wildrydes_refusals_total{reason="reason 999"}' not in found


def test_a_starting_process_removes_the_files_of_dead_ones(tmp_path: Path) -> None:
    for amount in range(3):
        Counting(tmp_path, amount).kill()
    run_counting(f"from service.observability.exposition import tidy; tidy()\n{COUNT}", tmp_path)
    files = {file.name for file in tmp_path.glob("counter_*")}
    assert len(files) == 2  # that of the dead and of the one that came last
    assert exposed(tmp_path)['wildrydes_refusals_total{reason="missing_token"}'] == 0 + 1 + 2 + 5


def run_counting(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the code to its end, with the argument 5 as the amount to count."""
    return subprocess.run(
        [sys.executable, "-c", code, "5"],
        env={**os.environ, directory.VARIABLE: str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_where_no_folder_can_be_made_metrics_are_off() -> None:
    assert prepared(Path("/proc"), 9100) == "None"


PREPARE = """
import os
from pathlib import Path
from service.observability import directory
directory._MEMORY = Path(os.environ["FOLDER"])
directory.prepare(int(os.environ["N"]))
folder = directory.current()
print(folder and f"{folder.stat().st_mode & 0o777:o} {folder}")
"""


def prepared(parent: Path, port: int) -> str:
    """The rights of the directory that a process made, and its path; `None` without one."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        env={**os.environ, "N": str(port), "FOLDER": str(parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_start_removes_what_killed_predecessors_left_and_nothing_else(tmp_path: Path) -> None:
    dead = tmp_path / "wildrydes-metrics-9100-999999999"
    living = tmp_path / f"wildrydes-metrics-9100-{os.getpid()}"
    other = tmp_path / "wildrydes-metrics-9200-999999999"
    for folder in (dead, living, other):
        folder.mkdir()
    rights, own = prepared(tmp_path, 9100).split()
    assert (rights, Path(own).parent) == ("700", tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living, other])


def test_without_a_port_there_is_no_directory(tmp_path: Path) -> None:
    assert prepared(tmp_path, 0) == "None"
    assert list(tmp_path.iterdir()) == []


def test_a_child_forked_in_the_middle_of_an_answer_does_not_block_the_next(tmp_path: Path) -> None:
    with directory.alone(tmp_path):
        child = os.fork()
        if child == 0:
            # As a pool process would: it lives on with every file its parent had open.
            signal.pause()
    try:
        with open(tmp_path / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
def test_a_zombie_counts_as_dead(tmp_path: Path) -> None:
    process = Counting(tmp_path, 1)
    try:
        process.process.kill()
        os.waitid(os.P_PID, process.process.pid, os.WEXITED | os.WNOWAIT)
        assert exposed(tmp_path)["wildrydes_processes"] == 0
    finally:
        process.kill()


def test_a_process_that_is_looked_for_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert directory.is_alive(process.pid)
        process.terminate()
        assert process.wait() == -signal.SIGTERM
    assert not directory.is_alive(process.pid)
