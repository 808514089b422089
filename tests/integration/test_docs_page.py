"""`/docs` in a real browser: it shows the API, and nothing on it breaks its own strict policy."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from tests.support.api import build_api
from tests.support.infrastructure import free_port

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is missing; .ci/run installs it on Debian"
    ),
    pytest.mark.timeout(300),
]


@pytest.fixture
def address() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = make_server("127.0.0.1", port, build_api(public_url=url).app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_page_shows_every_kind_of_answer_and_its_console_is_silent(
    address: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--enable-logging=stderr", "--virtual-time-budget=30000"),
            f"--user-data-dir={tmp_path}",
            f"{address}/docs",
        ],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    for shown in ("/v1/rides/{ride_id}/events", "text/event-stream", "RequestTime", "curl"):
        assert shown in done.stdout, shown
    # Without it a browser with a window asks for /favicon.ico, and its console shows a 404.
    assert '<link rel="icon" href="data:,">' in done.stdout
