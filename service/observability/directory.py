"""The directory in which the processes of one role keep their metrics, for one of them to add up.

prometheus_client keeps one memory-mapped file per process and kind of instrument in the directory
`PROMETHEUS_MULTIPROC_DIR`. Call `prepare` before the instruments are imported. This module does
not import prometheus_client, because gunicorn's parent uses it before gevent patches the standard
library.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the files are written on every count


def prepare(port: int) -> None:
    """Make an empty directory for this process and its children, removed when this process exits.

    Also removes what killed predecessors left behind. Does nothing if `port` is 0 (metrics off).
    """
    if not port:
        return
    owner = os.getpid()
    parent = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
    for left in parent.glob(f"wildrydes-metrics-{port}-*"):
        pid = int(left.name.rpartition("-")[2])
        if pid == owner or not is_alive(pid):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"wildrydes-metrics-{port}-{owner}"
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        logger.error("no room for metrics: nothing is counted", extra={"cause": str(error)})
        return
    os.environ[VARIABLE] = str(folder)
    atexit.register(remove)


def remove() -> None:
    """Remove the directory that this process made, if it made one. Runs when the process exits."""
    folder = current()
    # Forked children inherit the variable and run this function too.
    if folder and folder.name.endswith(f"-{os.getpid()}"):
        shutil.rmtree(folder, ignore_errors=True)


def current() -> Path | None:
    """This process's directory; None if metrics are off."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def processes(folder: Path) -> Sequence[int]:
    """The living processes that have files in the directory."""
    pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("*_[0-9]*.db")}
    return sorted(pid for pid in pids if is_alive(pid))


def dead_files(folder: Path) -> Iterator[Path]:
    """The files of processes that have ended."""
    for file in folder.glob("*_[0-9]*.db"):
        if not is_alive(int(file.stem.rpartition("_")[2])):
            yield file


@contextmanager
def alone(folder: Path, name: str = "lock") -> Iterator[None]:
    """Hold the lock of this name in the directory; other processes wait for it.

    Reading and tidying the files of counters uses the default name.
    """
    with open(folder / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing the file is not enough: a child forked meanwhile has it open too.
            fcntl.flock(lock, fcntl.LOCK_UN)
