"""Does a test notice? A copy of the project is changed and the tests nearest to the change run."""

from __future__ import annotations

import os
import re
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
LIMIT_SECONDS = 600
"""Tests that take longer than this have met a loop without end: the mutant is noticed."""

SLOW = (
    "tests/unit/core/test_crash_points.py",
    "tests/unit/core/test_ride_machine.py",
    "tests/contract/test_ride_machine.py",
    "tests/faults/test_chaos.py",
)
"""Run only where they are named: they take minutes and notice what others notice sooner."""

_UNIT = (
    *("tests/unit/core", "tests/unit/stores", "tests/unit/test_dispatch_settings.py"),
    *("tests/unit/api", SLOW[0], "tests/unit/matching"),
)
_SETTINGS = ("tests/unit/test_process_settings.py", "tests/unit/test_*.py")
SUITES: dict[str, tuple[str, ...]] = {
    "service/model": ("tests/unit/model", *_UNIT),
    "service/core": _UNIT,
    "service/matching": ("tests/unit/matching", "tests/unit/core"),
    "service/auth": ("tests/unit/auth", "tests/unit/api"),
    "service/stores": ("tests/unit/stores", "tests/contract"),
    "service/entrypoints": _SETTINGS,
    "worker/app.py": _SETTINGS,
    "worker": ("tests/unit/test_*.py", "tests/faults/test_broker.py"),
    "docker/ecs": ("tests/unit/test_ecs_templates.py", *_SETTINGS),
    "": ("tests/unit/test_*.py",),
}
"""Tests to run for a file, after those that import it; the first beginning of its path counts."""

IMPORTERS = ("tests/unit/**/test_*.py", "tests/contract/test_*.py", "tests/integration/test_*.py")
"""Where tests that import the file are looked for: they are nearest to it."""


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


def try_out(mutant: Mutant, folder: Path, *, nearest: bool) -> Verdict:
    """Run the tests for the mutant until one fails; the copy is as before afterwards.

    `nearest`: only tests that import the file, or if there are none the first suite. What they do
    not notice, others still may.
    """
    suites = tuple(filter(None, [importers(mutant.path, folder), *suites_of(mutant.path)]))
    path = folder / mutant.path
    for suite in suites[:1] if nearest else suites:
        left_out = failing_anyway(suite, folder)
        path.write_text(mutant.after)
        status, _ = run(suite, folder, "-x", *left_out)
        path.write_text(mutant.before)
        if status != 0:
            return Verdict(mutant, suite)
    return Verdict(mutant, None)


def suites_of(path: str) -> tuple[str, ...]:
    return next(tests for start, tests in SUITES.items() if path.startswith(start))


@cache
def importers(path: str, folder: Path) -> str:
    """The tests that import the file, as one suite; empty if there is none."""
    module = path.removesuffix(".py").replace("/", ".")
    package, _, name = module.rpartition(".")
    imports = re.compile(
        rf"(from|import) {re.escape(module)}\b|from {re.escape(package)} import .*\b{name}\b"
    )
    found = (file for pattern in IMPORTERS for file in folder.glob(pattern))
    names = [
        file.relative_to(folder).as_posix() for file in found if imports.search(file.read_text())
    ]
    return " ".join(sorted(set(names) - {*SLOW}))


@cache
def failing_anyway(suite: str, folder: Path) -> tuple[str, ...]:
    """Options that leave out what fails without a mutant: it would seem to notice every one."""
    options: tuple[str, ...] = ()
    while True:
        status, told = run(suite, folder, *options)
        if status == 0:
            return options
        failing = re.findall(r"^(?:FAILED|ERROR) (\S+)", told, re.MULTILINE)
        if not failing:
            sys.exit(f"{suite} fails without any mutant")
        print("left out, fail without any mutant:", *failing)
        # What is not a test is a file that cannot be imported; then no test has run yet.
        options += tuple(f"--{'deselect' if '::' in each else 'ignore'}={each}" for each in failing)


def run(suite: str, folder: Path, *options: str) -> tuple[int, str]:
    """Exit status of the suite's tests, and what they printed; 1 if they go on for ever."""
    paths = sorted(path.relative_to(folder) for one in suite.split() for path in folder.glob(one))
    tests = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options),
            *(f"--ignore={slow}" for slow in SLOW if slow not in suite),
            # A path that is given is collected even where it is ignored, too.
            *(path for path in paths if f"--ignore={path}" not in options),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = tests.communicate(timeout=LIMIT_SECONDS)
        return tests.returncode, told
    except subprocess.TimeoutExpired:
        os.killpg(tests.pid, signal.SIGKILL)
        tests.communicate()
        return 1, ""
