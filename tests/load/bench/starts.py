"""Measures the first and second `make run`, and `make test`, in a fresh clone.

The first start creates both virtual environments, from pip's cache or from the registry. The
figures are wall-clock times, so they mean little while other programs use the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.infrastructure import PROJECT, free_port

AIMS = {"make run, first": 20, "make run, next": 3, "make test": 360}
"""Seconds, on two cores."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also run all tests: minutes")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
        start = ["run", f"ARGS=--detach --ports {free_port()}"]
        for name in ("make run, first", "make run, next"):
            measure(name, clone, start)
            make(clone, ["stop"])
        if options.tests:
            make(clone, ["install"])
            measure("make test", clone, ["test"])


def measure(name: str, clone: Path, goal: Sequence[str]) -> None:
    began = time.monotonic()
    make(clone, goal)
    print(f"{name:<16} {time.monotonic() - began:>6.1f} s   aim {AIMS[name]} s", flush=True)


def make(clone: Path, goal: Sequence[str]) -> None:
    # Not the variables by which a `make` that runs this tells another one what to do.
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "--silent", *goal]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


if __name__ == "__main__":
    main()
