"""Does a test notice? A copy of the project is changed and the tests nearest to the change run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.load.mutants.sample import Mutant

PROJECT = Path(__file__).parents[3]
LIMIT_SECONDS = 240
"""Tests that take longer than this have met a loop without end: the mutant is noticed."""

SLOW = (
    "tests/unit/core/test_crash_points.py",
    "tests/unit/core/test_ride_machine.py",
    "tests/faults/test_chaos.py",
)
"""Run only where they are named: they take minutes and notice what others notice sooner."""

_UNIT = ("tests/unit/core", "tests/unit/matching", "tests/unit/stores", "tests/unit/api", SLOW[0])
SUITES: dict[str, tuple[str, ...]] = {
    "service/model": _UNIT,
    "service/core": _UNIT,
    "service/matching": ("tests/unit/matching", "tests/unit/core"),
    "service/auth": ("tests/unit/auth", "tests/unit/api"),
    "service/stores": ("tests/unit/stores", "tests/contract"),
    "worker": ("tests/unit/test_*.py", "tests/faults/test_broker.py"),
    "": ("tests/unit/test_*.py",),
}
"""Tests to run for a file, nearest first; the first beginning of its path that fits counts."""


@dataclass(frozen=True)
class Verdict:
    """`noticed_by`: the suite with the first test that failed, or None."""

    mutant: Mutant
    noticed_by: str | None


@contextmanager
def copy_of_the_project() -> Iterator[Path]:
    """The project's files without its history, to be changed at will."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in filter(None, listed.stdout.split("\0")):
            if (PROJECT / name).is_file():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, target)
        for linked in (".venv", ".local/venv"):
            (Path(folder) / linked).parent.mkdir(exist_ok=True)
            (Path(folder) / linked).symlink_to(PROJECT / linked)
        yield Path(folder)


def try_out(mutant: Mutant, folder: Path) -> Verdict:
    """Run the tests for the mutant until one fails; the copy is as before afterwards."""
    suites = next(tests for start, tests in SUITES.items() if mutant.path.startswith(start))
    path = folder / mutant.path
    for suite in filter(lambda each: is_sound(each, folder), suites):
        path.write_text(mutant.after)
        noticed = fails(suite, folder)
        path.write_text(mutant.before)
        if noticed:
            return Verdict(mutant, suite)
    return Verdict(mutant, None)


@cache
def is_sound(suite: str, folder: Path) -> bool:
    """Tests that fail without a mutant would seem to notice every one: they are left out."""
    sound = not fails(suite, folder)
    if not sound:
        print(f"{suite} fails without any mutant and is left out")
    return sound


def fails(suite: str, folder: Path) -> bool:
    """Whether a test of the suite fails, or goes on for ever."""
    tests = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *(f"--ignore={slow}" for slow in SLOW if slow != suite),
            *sorted(path.relative_to(folder) for path in folder.glob(suite)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return tests.wait(LIMIT_SECONDS) != 0
    except subprocess.TimeoutExpired:
        os.killpg(tests.pid, signal.SIGKILL)
        tests.wait()
        return True
