"""`make run` for a test: the real commands, in a folder and on ports of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import urllib3

from service.local.stack import Ports
from tests.support.infrastructure import PROJECT, free_port


class LocalStack:
    """The stack's commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = Ports(*(free_port() for _ in range(5)))
        self.settings: dict[str, str] = {}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        ports = {
            "PORT": self.ports.web,
            "AWS_PORT": self.ports.aws,
            "REDIS_PORT": self.ports.redis,
            "MONITOR_PORT": self.ports.monitor,
            "ROADS_PORT": self.ports.roads,
        }
        return subprocess.run(
            [sys.executable, "-m", "service.local", "--dir", str(self.folder), *arguments],
            cwd=PROJECT,
            env={**os.environ, **{name: str(port) for name, port in ports.items()}, **environment},
            capture_output=True,
            text=True,
            timeout=90,
        )

    def up(self, **environment: str) -> None:
        done = self.run("up", "--detach", **environment)
        assert done.returncode == 0, done.stderr + self.log("supervisor")
        self.settings = read_exports(self.folder / "env")

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stderr

    def log(self, name: str) -> str:
        path = self.folder / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def call(self, method: str, path: str, body: Any = None, token: str = "RIDER_TOKEN") -> Any:
        answer = urllib3.request(
            method,
            self.settings["API_URL"] + path,
            json=body,
            headers={"Authorization": f"Bearer {self.settings[token]}", "Prefer": "wait=10"},
            timeout=30,
        )
        assert answer.status < 300, answer.data
        return answer.json()


def read_exports(path: Path) -> dict[str, str]:
    words = (shlex.split(line) for line in path.read_text().splitlines())
    return dict(assignment.split("=", 1) for _, assignment in words)
