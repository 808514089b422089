"""`make run`, as a person uses it: the real commands, the real processes, a herd that drives fast.

One stack serves the whole module, in a folder of its own and on ports of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from service.local import emulators, occupancy
from service.local.identity import USER_SCOPES
from service.local.login import Login
from service.local.provisioning import load_identity
from service.local.stack import Secrets
from tests.clients import tools
from tests.support.infrastructure import PROJECT, free_port, wait_until
from tests.support.local_stack import LocalStack

PAGE = f"http://localhost:{free_port()}"
"""Where the page of an app's developer is served."""
CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("stack"))
    home = tmp_path_factory.mktemp("home")
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    proxies |= {"no_proxy": "", "NO_PROXY": ""}
    real_aws = {"HOME": str(home), "AWS_PROFILE": "production", "AWS_USE_FIPS_ENDPOINT": "true"}
    (home / ".aws").mkdir()
    for name in ("config", "credentials"):
        # Whoever reads such a file fails.
        (home / ".aws" / name).write_text("[default]\nno value\n")
    try:
        stack.up(
            HERD_SPEED="500",
            CORS_ORIGINS=PAGE,
            COGNITO_CLIENT_IDS="anotherclient",
            **real_aws,
            **proxies,
        )
        yield stack
    finally:
        stack.down()


def test_a_ride_is_matched_and_driven_to_its_end_by_the_herd(stack: LocalStack) -> None:
    ride = stack.call("POST", "/v1/rides", {"pickup": {"latitude": 40.72, "longitude": -74.0}})

    def completed() -> bool:
        return bool(stack.call("GET", f"/v1/rides/{ride['ride_id']}")["status"] == "completed")

    wait_until(completed, "the completion of the ride", 60)


def test_a_page_of_an_invited_origin_signs_in_and_rides(stack: LocalStack) -> None:
    settings = stack.settings
    identity = load_identity(stack.folder)
    password = Secrets.of(stack.folder).demo_password
    aws = f"http://127.0.0.1:{stack.ports.aws}"
    for path in ("", "/", "/callback"):
        login = Login(aws, identity.web_client_id, f"{PAGE}{path}")
        token = login.sign_in("rider", password, USER_SCOPES["rider"]).access_token
        answer = urllib3.request(
            "POST",
            f"{settings['API_URL']}/v1/rides",
            json={"pickup": {"latitude": 40.72, "longitude": -74.0}},
            headers={"Authorization": f"Bearer {token}", "Origin": PAGE},
        )
        assert answer.status in {201, 202}, answer.data
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A folder with the two modules that the page for apps prints, and the packages they need."""
    tools.install()
    (tmp_path / "node_modules").symlink_to(tools.MODULES)
    page = (PROJECT / "service" / "local" / "APPS.md").read_text()
    blocks = re.findall(r"^## (\S+)\n.*?^```js\n(.*?)^```$", page, re.M | re.S)
    names = {"oidc-client-ts": "oidc.mjs", "Amplify": "amplify.mjs"}
    for heading, code in blocks:
        (tmp_path / names[heading]).write_text(code)
    return tmp_path


def run_example(stack: LocalStack, folder: Path, *files: str, **more: str) -> Any:
    """What the first of these files of tests/clients tells, when Node.js runs it as an app."""
    for name in files:
        shutil.copy(tools.FOLDER / name, folder)
    password = Secrets.of(stack.folder).demo_password
    environment = stack.settings | {"ORIGIN": PAGE, "PASSWORD": password} | more
    return json.loads(tools.run("node", files[0], folder=folder, **environment).splitlines()[-1])


@pytest.mark.skipif(not tools.has_npm(), reason=tools.MISSING)
def test_the_examples_for_apps_sign_in_and_ride(stack: LocalStack, examples: Path) -> None:
    """Runs the printed code with the real oidc-client-ts and Amplify."""
    assert run_example(stack, examples, "apps.mjs") == {
        "ride": 202,
        "email": "rider@example.com",
        "signedOut": f"{PAGE}/",
        "bySrp": 202,
        "scope": "aws.cognito.signin.user.admin wildrydes/rides.read wildrydes/rides.write",
        "isRenewed": True,
    }


@pytest.mark.skipif(not tools.has_npm(), reason=tools.MISSING)
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing; .ci/run installs it on Debian")
def test_the_example_signs_in_and_rides_in_a_browser_from_another_port(
    stack: LocalStack, examples: Path, tmp_path: Path
) -> None:
    """The browser enforces CORS: a page of another origin cannot call the API."""
    files = ("browser.mjs", "app.html", "app.mjs")
    told = run_example(
        *(stack, examples, *files),
        CHROMIUM=str(CHROMIUM),
        HOME=str(tmp_path),
        PROFILE=str(tmp_path / "profile"),
        STRANGER=f"http://localhost:{free_port()}",
    )
    assert told == {
        "email": "rider@example.com",
        "ride": 202,
        "isNew": True,
        "ended": "Sign in anew: Invalid Refresh Token",
        "pickup": {"latitude": 40.715, "longitude": -74},
        "nowhere": 404,
        "loginPage": f"http://127.0.0.1:{stack.ports.aws}",
        "signedOut": f"{PAGE}/",
        "stranger": "TypeError: Failed to fetch",
    }


def test_settings_that_were_given_take_effect(stack: LocalStack) -> None:
    assert stack.settings["CORS_ORIGINS"] == PAGE
    clients = stack.settings["COGNITO_CLIENT_IDS"].split(",")
    assert clients[-1] == "anotherclient"
    assert load_identity(stack.folder).web_client_id in clients


def test_every_address_it_prints_answers(stack: LocalStack) -> None:
    for port in (stack.ports.web, stack.ports.aws, stack.ports.redis, stack.ports.monitor):
        assert emulators.listens(port)
    monitor = urllib3.request("GET", f"http://127.0.0.1:{stack.ports.monitor}/", timeout=10)
    assert monitor.status == 401, "the monitor lets in people without a password"


def test_what_it_keeps_for_itself_is_private(stack: LocalStack) -> None:
    for name in ("env", "secrets.json", "identity.json"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("user", ["rider", "admin", "dispatcher", "unicorn", "machine"])
def test_a_fresh_token_can_be_had_for_each_kind_of_caller(stack: LocalStack, user: str) -> None:
    token = stack.run("token", user).stdout.strip()
    assert token.count(".") == 2
    assert token != stack.settings[f"{user.upper()}_TOKEN"]


def test_a_killed_process_comes_back(stack: LocalStack) -> None:
    web = occupancy.noted(stack.folder)["groups"]["web"]
    os.kill(web, signal.SIGKILL)

    def is_back() -> bool:
        ready = emulators.get_json(stack.ports.web, "/readyz")
        return ready is not None and occupancy.noted(stack.folder)["groups"]["web"] != web

    wait_until(is_back, "the return of the API")
    assert "web ended (-9), starting it again" in stack.log("supervisor")


def test_a_second_start_in_the_same_folder_is_refused(stack: LocalStack) -> None:
    again = stack.run("up", "--detach")
    assert again.returncode != 0
    assert "already running" in again.stderr


def test_a_start_on_taken_ports_names_them_and_starts_nothing(
    stack: LocalStack, tmp_path: Path
) -> None:
    other = LocalStack(tmp_path)
    other.ports = stack.ports
    refused = other.run("up", "--detach")
    assert refused.returncode != 0
    assert f"port {stack.ports.aws}, wanted by aws, is taken: set AWS_PORT" in refused.stderr
    assert occupancy.noted(tmp_path)["groups"] == {}


def test_stopping_leaves_nothing_and_the_next_start_remembers(stack: LocalStack) -> None:
    ride = stack.call("POST", "/v1/rides", {"pickup": {"latitude": 40.71, "longitude": -74.0}})
    pool = stack.settings["COGNITO_USER_POOL_ID"]
    token = stack.settings["RIDER_TOKEN"]

    stack.down()
    for port in (stack.ports.web, stack.ports.aws, stack.ports.redis, stack.ports.monitor):
        assert not emulators.listens(port)

    stack.up(HERD_SPEED="500")
    assert stack.settings["COGNITO_USER_POOL_ID"] == pool
    stack.settings["RIDER_TOKEN"] = token
    assert stack.call("GET", f"/v1/rides/{ride['ride_id']}")["ride_id"] == ride["ride_id"]
