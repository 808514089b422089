"""Creates the virtual environments, exactly as locked; does nothing when they are up to date.

The system's own Python runs it, so it uses the standard library only:
`python3 -m service.local.install [--dev]`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SERVICE = PROJECT / ".venv"
EMULATORS = PROJECT / ".local" / "venv"


def install(environment: Path, locks: Sequence[Path]) -> None:
    """Install what `locks` pin; a changed lock file is installed over the previous one."""
    for lock in locks:
        stamp = environment / f".{lock.stem}-{_fingerprint(lock)}"
        if stamp.exists():
            continue
        _install(environment, lock)
        for old in environment.glob(f".{lock.stem}-????????"):
            old.unlink()
        stamp.touch()


def _install(environment: Path, lock: Path) -> None:
    python = environment / "bin" / "python"
    if not python.exists():
        _say(f"creating {environment.relative_to(PROJECT)}")
        _run(sys.executable, "-m", "venv", str(environment))
    _say(f"installing {lock.relative_to(PROJECT)}")
    # The lock files are complete: with --no-deps pip has nothing to resolve.
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    _run(str(python), "-m", "pip", "install", *options, "-r", str(lock))


def _fingerprint(lock: Path) -> str:
    """A text that changes with the pinned packages and with the version of Python."""
    return hashlib.sha256(sys.version.encode() + lock.read_bytes()).hexdigest()[:8]


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before anything checked it
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    locks = [PROJECT / "requirements.txt"]
    if "--dev" in arguments:
        locks.append(PROJECT / "requirements-dev.txt")
    local = [PROJECT / "service" / "local" / "requirements.txt"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(install, (SERVICE, EMULATORS), (locks, local)))


if __name__ == "__main__":
    main(sys.argv[1:])
