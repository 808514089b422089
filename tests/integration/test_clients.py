"""Clients that generators make of the OpenAPI document compile, and ride with the minimal body."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

import pytest

from tests.clients import tools
from tests.clients.lint import lint
from tests.integration.test_ride import PICKUP, Driver
from tests.support.stack import Stack

# Packages are installed and compiled, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)
needs_npm = pytest.mark.skipif(not tools.has_npm(), reason=tools.MISSING)
MATCHED_AND_CANCELED = {"unicorn": "Shadowfax", "listed": 1, "status": "canceled"}


@pytest.fixture
def document(tmp_path: Path, stack: Stack) -> Path:
    """The OpenAPI document of the running API."""
    path = tmp_path / "openapi.json"
    path.write_bytes(stack.call("GET", "/openapi.json").body)
    return path


def ride_by(client: str | Path, program: str | Path, stack: Stack) -> object:
    """What the client prints of its ride with a new rider's token, while a unicorn is near."""
    # Only now: while packages are installed and compiled, a unicorn falls silent.
    Driver(stack, PICKUP)
    environment = {
        "API_URL": f"http://127.0.0.1:{stack.port}",
        "RIDER_TOKEN": stack.rider_token(f"rider-{uuid.uuid4()}"),
    }
    return json.loads(tools.run(client, program, folder=Path(program).parent, **environment))


def typescript(folder: Path, program: str) -> Path:
    """The program beside the generated client, compiled as strictly as TypeScript can."""
    for name in (program, "tsconfig.json", "package.json"):
        shutil.copy(tools.FOLDER / name, folder)
    (folder / "node_modules").symlink_to(tools.MODULES)
    tools.run("tsc", "--project", folder, folder=folder)
    return (folder / program).with_suffix(".js")


@needs_npm
def test_openapi_typescript_and_openapi_fetch_ride(
    tmp_path: Path, document: Path, stack: Stack
) -> None:
    tools.install()
    tools.run("openapi-typescript", document, "--output", "schema.d.ts", folder=tmp_path)
    program = typescript(tmp_path, "openapi_fetch.ts")
    assert ride_by("node", program, stack) == MATCHED_AND_CANCELED


@needs_npm
def test_hey_api_rides(tmp_path: Path, document: Path, stack: Stack) -> None:
    tools.install()
    config = tools.FOLDER / "openapi-ts.config.mjs"
    tools.run(
        *("openapi-ts", "--file", config),
        folder=tmp_path,
        OPENAPI_DOCUMENT=str(document),
        CLIENT_FOLDER=str(tmp_path / "hey"),
    )
    program = typescript(tmp_path, "hey_api.ts")
    assert ride_by("node", program, stack) == MATCHED_AND_CANCELED


def test_openapi_python_client_rides_and_has_no_call_that_blocks_until_a_ride_ends(
    tmp_path: Path, document: Path, stack: Stack
) -> None:
    generated = tmp_path / "client"
    generator = tools.python_tool("openapi-python-client")
    tools.run(
        *(generator, "generate", "--path", document, "--output-path", generated, "--meta", "none"),
        folder=tmp_path,
    )
    assert not list(generated.rglob("follow_ride.py"))
    generated.rename(tmp_path / "wild_rydes_dispatch_client")
    shutil.copy(tools.FOLDER / "python_client.py", tmp_path)
    tools.run(tools.python_tool("mypy"), "--strict", "python_client.py", folder=tmp_path)
    python = tools.python_tool("python")
    assert ride_by(python, tmp_path / "python_client.py", stack) == MATCHED_AND_CANCELED


@needs_npm
def test_spectral_and_redocly_find_nothing_in_the_document() -> None:
    lint()
