"""The server listens where the settings say, also if they are empty or have spaces."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from service.local import procfile
from tests.support.infrastructure import PROJECT, free_port, wait_until
from tests.support.stack import answers, start_process

ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1\n",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PUBLIC_URL": "http://127.0.0.1\n",
    "COGNITO_USER_POOL_ID": "us-east-1_Example",
    "COGNITO_CLIENT_IDS": "client",
    "COGNITO_JWKS_URL": "http://127.0.0.1:1/keys",
}


@pytest.mark.parametrize(
    ("host", "address"),
    [("", "http://127.0.0.1:{}"), (" 127.0.0.1\n", "http://127.0.0.1:{}"), ("::1", "http://[::1]:{}")],
)  # fmt: skip
def test_the_server_listens_where_the_settings_say(tmp_path: Path, host: str, address: str) -> None:
    port = free_port()
    environment = {**ENVIRONMENT, "HOST": host, "PORT": f"{port}\n"}
    process = start_process(
        "web", procfile.read(PROJECT / "Procfile")["web"], environment, tmp_path
    )
    try:
        # Until it answers: SIGTERM in the first moment of gunicorn's worker is lost.
        wait_until(lambda: answers(port, host.strip() or "127.0.0.1"), "the server", 60)
        assert f"Listening at: {address.format(port)} " in (tmp_path / "web.log").read_text()
    finally:
        process.stop(grace=20)
