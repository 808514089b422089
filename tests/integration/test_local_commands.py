"""The commands of the Makefile on a stack that is down, and with settings that it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.local.stack import Ports, Secrets, Stack
from tests.support.infrastructure import PROJECT, free_port


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def local(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(
        sys.executable, "-m", "service.local", "--dir", str(folder), *arguments, **environment
    )


@pytest.mark.parametrize("command", [("demo",), ("token", "rider")])
def test_a_stack_that_was_never_started_is_named_as_that(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = local(tmp_path, *command)
    assert done.returncode == 1
    assert done.stderr == f"no stack was ever started in {tmp_path}: `make run`\n"


@pytest.mark.parametrize("command", [("demo",), ("token", "rider")])
def test_a_stack_that_is_down_is_named_as_that(tmp_path: Path, command: tuple[str, ...]) -> None:
    Stack(tmp_path, Ports.consecutive(free_port()), Secrets.of(tmp_path)).remember_ports()
    done = local(tmp_path, *command)
    assert done.returncode == 1
    assert done.stderr == f"the stack in {tmp_path} is not running: `make run` starts it\n"


@pytest.mark.parametrize(
    ("arguments", "role"),
    [
        ((), "rider"),
        (("ROLE=admin",), "admin"),
        (("USER=dispatcher",), "dispatcher"),
        (("ROLE=machine", "USER=admin"), "machine"),
    ],
)
def test_make_token_takes_its_role_from_the_command_line_and_not_from_the_login_name(
    arguments: tuple[str, ...], role: str
) -> None:
    # Inside `make test` a nested make prints the directory it enters.
    done = run("make", "--no-print-directory", "--dry-run", "token", *arguments, USER="somebody")
    assert done.stdout.split()[-2:] == ["token", role]


REFUSED = {
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "COGNITO_ISSUERS": "https://issuer.example.com/us-east-1_Mine",
    "COGNITO_JWKS_URL": "https://issuer.example.com/keys",
    "COGNITO_USER_POOL_ID": "us-east-1_Mine",
    "FLOWER_BASIC_AUTH": "me:mine",
    "FLOWER_PORT": "7777",
    "HOST": "0.0.0.0",
    "PUBLIC_URL": "https://rides.example.com",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def test_a_setting_that_the_stack_decides_itself_is_refused_by_name(tmp_path: Path) -> None:
    done = local(tmp_path, "up", "--detach", **REFUSED)
    assert done.returncode == 1
    named = {line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]}
    assert named == REFUSED.keys()
    assert "me:mine" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("AWS_PORT", "four", "AWS_PORT: Input should be a valid integer"),
        ("HERD_SPEED", "fast", "HERD_SPEED: Input should be a valid number"),
        ("HERD", "perhaps", "HERD: Input should be a valid boolean"),
        ("CORS_ORIGINS", "http://localhost:5173/", "CORS_ORIGINS: 'http://localhost:5173/' is not"),
        ("COGNITO_CLIENT_IDS", "a b", "COGNITO_CLIENT_IDS: String should match"),
        ("LOG_LEVEL", '"INFO"', "LOG_LEVEL: is in quotes"),
        ("OFFER_SECONDS", "soon", "OFFER_SECONDS: Input should be a valid integer"),
        ("AUTH_LEEWAY_SECONDS", "soon", "AUTH_LEEWAY_SECONDS: Input should be a valid integer"),
        ("PORT", "70000", "PORT: Input should be less than"),
    ],
)
def test_a_bad_setting_is_named_before_anything_starts(
    tmp_path: Path, name: str, value: str, text: str
) -> None:
    done = local(tmp_path, "up", "--detach", **{name: value})
    assert done.returncode == 1
    assert text in done.stderr
    assert not (tmp_path / "logs" / "aws.log").exists()
