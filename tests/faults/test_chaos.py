"""A short run of `make chaos`: everything is killed, nothing is lost, nothing is double."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.chaos import __main__ as command
from tests.load.chaos import evidence, report
from tests.load.chaos.checker import check
from tests.load.chaos.run import run
from tests.load.chaos.schedule import Fault, Schedule, draw

SEED = 11


def test_whatever_dies_no_ride_is_lost_and_none_is_double(tmp_path: Path) -> None:
    """Does not judge how long a match takes; `make chaos` does, on a machine without other load."""
    found = evidence.read(run(draw(SEED, rides=120, seconds=35, fleet=36), tmp_path))
    violations = check(found)
    print(*report.lines(found, violations), sep="\n")
    assert violations == []
    assert {entry["fault"] for entry in found.history if entry["what"] == "fault"} == set(Fault)


def test_the_same_seed_is_the_same_schedule() -> None:
    assert draw(SEED, rides=200, seconds=30, fleet=20) == draw(SEED, 200, 30, 20)
    assert draw(SEED, rides=200, seconds=30, fleet=20) != draw(SEED + 1, 200, 30, 20)


def test_a_relative_folder_is_that_of_whoever_started_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make chaos SEED=7` gives one; the processes of a run work in folders of their own."""
    folders: list[Path] = []

    def note(schedule: Schedule, folder: Path) -> Path:
        folders.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", note)
    monkeypatch.setattr("sys.argv", ["chaos", "--seed", "7", "--folder", ".local/chaos"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        command.main()
    assert folders[0].parent == tmp_path / ".local" / "chaos"
