"""The Node.js tools that lint the OpenAPI document and make TypeScript clients of it.

They are pinned in `package-lock.json` and installed beside it when first needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.api import build_api

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
OLDEST_NODE = 20
MISSING = f"npm or Node.js {OLDEST_NODE} is missing; .ci/run installs them on Debian"


def has_npm() -> bool:
    """Whether npm is there, and a Node.js that the tools run on."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return False
    version = run("node", "--version", folder=FOLDER)
    return int(version.removeprefix("v").partition(".")[0]) >= OLDEST_NODE


def install() -> None:
    """Install what the lock file pins; does nothing when it is there."""
    lock = (FOLDER / "package-lock.json").read_bytes()
    stamp = MODULES / f".installed-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not stamp.exists():
        # No package's own scripts are run: none of these tools needs one.
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=FOLDER)
        stamp.touch()


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a program, one of the tools by its name; returns what it printed, or raises with it."""
    program = MODULES / ".bin" / command[0]
    done = subprocess.run(
        [str(program if program.exists() else command[0]), *map(str, command[1:])],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def write_document(folder: Path, settings: Mapping[str, str]) -> Path:
    """The OpenAPI document of an API with these settings, as a file."""
    described = build_api(**settings).call("GET", "/openapi.json", token=None).json
    path = folder / "openapi.json"
    path.write_text(json.dumps(described, indent=1))
    return path


def python_tool(name: str) -> str:
    """A program of the virtual environment."""
    return str(Path(sys.executable).parent / name)
