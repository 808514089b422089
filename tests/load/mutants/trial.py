"""Does a test notice? A copy of the project is changed and the tests nearest to the change run."""

from __future__ import annotations

import compileall
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.load.mutants.sample import Mutant

PROJECT = Path(__file__).parents[3]
LIMIT_SECONDS = 1800
"""A suite that takes longer than this has met a loop without end while it was collected."""

TEST_LIMIT_SECONDS = 120
"""A test that takes longer than this has met a loop without end."""

SLOW = (
    "tests/unit/core/test_crash_points.py",
    "tests/unit/core/test_ride_machine.py",
    "tests/contract/test_ride_machine.py",
    "tests/faults/test_chaos.py",
)
"""Run only where they are named: they take minutes and notice what others notice sooner."""

_CORE = ("tests/unit/core", "tests/unit/stores", "tests/unit/api", SLOW[0], "tests/unit/matching")
_TOGETHER = "tests/unit/test_*.py"
"""Tests of several rooms at once."""
_PROCESSES = ("tests/unit/test_process_settings.py", _TOGETHER)


def _running(*subjects: str) -> str:
    """Tests that never name a module of the processes that they start."""
    return " ".join(f"tests/integration/test_{subject}.py" for subject in subjects)


_SERVING = f"{_running('http_forms', 'slow_clients', 'stopping')} tests/hostile"
_WORKING = _running("ride", "repositioning", "oversight", "metrics", "log_lines", "travel_times")
_API = (f"tests/unit/api {_TOGETHER}", "tests/unit/core", _SERVING)
SUITES: dict[str, tuple[str, ...]] = {
    "service/model": ("tests/unit/model tests/unit/core", *_CORE[1:]),
    "service/core": (*_CORE, f"{_TOGETHER} {_WORKING}"),
    "service/matching": ("tests/unit/matching", "tests/unit/core"),
    "service/auth": ("tests/unit/auth", "tests/unit/api", f"{_TOGETHER} tests/hostile"),
    "service/stores": (f"tests/unit/stores {_TOGETHER}", "tests/contract"),
    "service/http": _API,
    "service/api": _API,
    "service/identity": ("tests/unit/identity", "tests/integration/test_identity_walk.py"),
    "service/entrypoints": (*_PROCESSES, _SERVING),
    "service/command": (
        _running("command", "doctor", "local_commands", "identity_walk"),
        _TOGETHER,
    ),
    "service/observability": (_TOGETHER, _running("metrics", "monitor", "traces", "stopping")),
    "worker/app.py": _PROCESSES,
    "worker/base.py": _PROCESSES,
    "worker/media.py": _PROCESSES,
    "worker": (
        _TOGETHER,
        _WORKING,
        f"{_running('liveness', 'monitor', 'poison', 'stopping')} tests/faults/test_broker.py",
    ),
    "docker/ecs": (f"tests/unit/test_ecs_*.py {_PROCESSES[0]}", _PROCESSES[1]),
    "service/": (
        _TOGETHER,
        "tests/unit/stores tests/unit/auth tests/unit/api",
        f"{_WORKING} {_SERVING}",
    ),
}
"""Tests to run for a file, after those that name it; the first beginning of its path counts."""

NEAR = ("tests/unit/**/test_*.py", "tests/contract/test_*.py", "tests/integration/test_*.py")
"""Where tests that name the file are looked for."""


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
        # By its hash, a mutated file is told from the compiled one even within the same second.
        compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        yield Path(folder)


class Trials:
    """Runs tests in a copy of the project, which is as before after each trial."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._excused = set[str]()
        """Tests that fail without any mutant or by chance: they would seem to notice every one."""

    def noticed_by(self, mutant: Mutant, *, nearest: bool) -> str | None:
        """The tests that fail with the mutant and pass without it; None if there are none.

        `nearest`: only tests that name the file, and the first suite of its room. A mutant that
        they do not notice may be noticed by others.
        """
        suites = [naming(mutant.path, self._folder), *suites_of(mutant.path)]
        for suite in filter(None, suites[:2] if nearest else suites):
            if noticed := self._noticed_in(suite, mutant):
                return noticed
        return None

    def _noticed_in(self, suite: str, mutant: Mutant) -> str | None:
        while failed := self._failing(mutant, mutant.after, suite):
            by_chance = not self._failing(mutant, mutant.after, *failed)
            broken = self._failing(mutant, mutant.before, *failed)
            if not by_chance and not broken:
                return " ".join(sorted(failed))
            left_out = broken or failed
            print("left out, fail by chance or without any mutant:", *left_out, flush=True)
            if suite in left_out or left_out <= self._excused:
                sys.exit(f"{suite} fails without any mutant")
            self._excused |= left_out
        return None

    def _failing(self, mutant: Mutant, text: str, *suites: str) -> set[str]:
        """The first test that fails with this text of the mutant's file.

        The suites themselves, if no test failed but they did not end within the limit.
        """
        path = self._folder / mutant.path
        path.write_text(text)
        succeeded, failed = self._run(*suites)
        path.write_text(mutant.before)
        return set() if succeeded else failed or set(suites)

    def _run(self, *suites: str) -> tuple[bool, set[str]]:
        """Whether the tests succeeded until the first failure, and which failed.

        None is named if they did not end within the limit.
        """
        named = {path for suite in suites for path in files(suite, self._folder)}
        paths = sorted(named - self._excused)
        if not paths:
            return True, set()
        failures = self._folder / ".pytest_cache/v/cache/lastfailed"
        failures.unlink(missing_ok=True)
        tests = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-q", "-x", f"--timeout={TEST_LIMIT_SECONDS}"),
                *(f"--ignore={slow}" for slow in SLOW if slow not in " ".join(suites)),
                # What is not a test is a file that cannot be imported.
                *(f"--{'deselect' if '::' in each else 'ignore'}={each}" for each in self._excused),
                *paths,
            ],
            cwd=self._folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = tests.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(tests.pid, signal.SIGKILL)
            status = tests.wait()
        failed = json.loads(failures.read_text()) if failures.exists() else ()
        return status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), set(failed)


def suites_of(path: str) -> tuple[str, ...]:
    return next(tests for start, tests in SUITES.items() if path.startswith(start))


def naming(path: str, folder: Path) -> str:
    """The tests that name the module, or the file of a template; empty if there is none."""
    module = path.removesuffix(".py").replace("/", ".")
    package, _, name = module.rpartition(".")
    named = re.compile(
        rf"\b{re.escape(module)}\b|from {re.escape(package)} import (\([^)]*|.*)\b{name}\b"
        if path.endswith(".py")
        else rf"\b{re.escape(Path(path).name)}\b"
    )
    found = (file for pattern in NEAR for file in folder.glob(pattern))
    names = {str(file.relative_to(folder)) for file in found if named.search(file.read_text())}
    return " ".join(sorted(names - {*SLOW}))


def files(suite: str, folder: Path) -> Iterator[str]:
    """Files and folders of a suite; the test itself, if the suite is one test."""
    if "::" in suite:
        yield suite
    else:
        for pattern in suite.split():
            yield from (str(path.relative_to(folder)) for path in folder.glob(pattern))
