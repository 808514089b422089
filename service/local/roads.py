"""Runs a real routing engine (OSRM) for the stack: its programs, road data and server.

The PyPI package `osrm-bindings` carries OSRM's programs and profiles as plain executables. Its
wheels are tagged for Python 3.12 and newer, but the executables need no Python: the wheel of this
machine is downloaded, checked against its hash and unpacked.

Road data is prepared once per extract and algorithm. The default is MLD, because whoever tries the
service should not wait: it prepares Manhattan in 3 s. CH takes 28 s, and answers in 40 % of MLD's
time.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from service.local.emulators import HOST, get_json
from service.local.install import PROJECT
from service.local.processes import Program
from service.local.stack import StackError

LOCK: Final = PROJECT / "docker" / "roads" / "requirements.txt"
KINDS: Final = (".osm.pbf", ".osm.bz2", ".osm")
Algorithm: TypeAlias = Literal["MLD", "CH"]
"""How the engine finds ways: multi-level Dijkstra or contraction hierarchies."""
_AFTER_EXTRACTION: Final[Mapping[Algorithm, Sequence[str]]] = {
    "MLD": ("osrm-partition", "osrm-customize"),
    "CH": ("osrm-contract",),
}
DEFAULT_ALGORITHM: Final = "MLD"
MAX_TABLE_SIZE: Final = 1000
"""The most places in one table. OSRM's default of 100 is too few for a busy round."""


def install(folder: Path) -> Path:
    """Unpack the programs below `folder` unless they are there; returns the package's folder."""
    package = folder / f"programs-{_digest(LOCK.read_bytes())}" / "osrm"
    if package.exists():
        return package
    with tempfile.TemporaryDirectory(dir=_made(folder)) as draft:
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--python-version", "3.12", "--dest", draft, "--requirement", str(LOCK)),
        )
        (wheel,) = Path(draft).glob("*.whl")
        unpacked = Path(draft) / "unpacked"
        zipfile.ZipFile(wheel).extractall(unpacked)
        for program in (unpacked / "osrm" / "bin").iterdir():
            program.chmod(0o755)
        unpacked.rename(package.parent)
    return package


def prepare(
    package: Path, extract: Path, folder: Path, algorithm: Algorithm = DEFAULT_ALGORITHM
) -> Path:
    """Make road data from an OpenStreetMap extract, unless this file was prepared before.

    Returns the base path that the server loads. Raises `StackError` if the file does not exist or
    is of another kind, or if OSRM refuses its data.
    """
    kind = next((kind for kind in KINDS if extract.name.endswith(kind)), None)
    if kind is None or not extract.is_file():
        raise StackError(f"ROADS={extract}: name a file that ends in {', '.join(KINDS)}")
    data = _made(folder) / f"{_digest(extract.read_bytes())}-{algorithm}"
    if not data.exists():
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            base = Path(draft) / "data" / "roads"
            base.parent.mkdir()
            profile = package / "share" / "profiles" / "car.lua"
            for program, *options in (
                ("osrm-extract", "--profile", profile, "--output", base, extract.resolve()),
                *((program, base) for program in _AFTER_EXTRACTION[algorithm]),
            ):
                _run(str(package / "bin" / program), *map(str, options))
            base.parent.rename(data)
    return data / "roads"


def server(
    package: Path, base: Path, port: int, log: Path, algorithm: Algorithm = DEFAULT_ALGORITHM
) -> Program:
    """The engine on data that were prepared for this algorithm."""
    options = {"ip": HOST, "port": port, "algorithm": algorithm, "max-table-size": MAX_TABLE_SIZE}
    flags = [part for option, value in options.items() for part in (f"--{option}", str(value))]
    return Program(
        name="roads",
        command=[str(package / "bin" / "osrm-routed"), *flags, str(base)],
        environment={"PATH": os.defpath},
        folder=base.parent,
        log=log,
    )


def answers(port: int) -> bool:
    """Whether the engine answers; it snaps any place to the nearest road."""
    return get_json(port, "/nearest/v1/driving/0,0") is not None


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-5:])
        raise StackError(f"{Path(command[0]).name} failed:\n{last}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
