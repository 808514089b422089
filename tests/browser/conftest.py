"""One stack without a herd and one Chromium for all walks over the pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.local.provisioning import load_identity
from service.local.stack import Secrets
from tests.browser.steps import cancel_rides
from tests.browser.windows import DESKTOP, PHONE, Window, profile
from tests.support.infrastructure import free_port
from tests.support.local_stack import LocalStack

CHROMIUM = shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="Chromium is missing; .ci/run installs it on Debian")
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(300))
            if CHROMIUM is None:
                item.add_marker(missing)


@pytest.fixture(scope="session")
def tiles_port() -> int:
    """Nobody listens there but in the test of tiles: every other page has to do without."""
    return free_port()


@pytest.fixture(scope="session")
def app_port() -> int:
    """Of the origin on which the stack allows an app of its own."""
    return free_port()


@pytest.fixture(scope="session")
def pages(
    tmp_path_factory: pytest.TempPathFactory, tiles_port: int, app_port: int
) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("pages"))
    try:
        stack.up(
            HERD="0",
            REPOSITION_SECONDS="4",
            MONITOR_ENABLED="false",
            OFFER_SECONDS="60",
            CORS_ORIGINS=f"http://localhost:{app_port}",
            MAP_TILES_URL=f"http://127.0.0.1:{tiles_port}/{{z}}/{{x}}/{{y}}.png",
            MAP_ATTRIBUTION="Streets of the test",
            WORKSHOP_ID_TOKENS="true",
        )
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def password(pages: LocalStack) -> str:
    return Secrets.of(pages.folder).demo_password


@pytest.fixture(scope="session")
def driver_account(pages: LocalStack) -> str:
    """The `sub` of the demo user who drives."""
    return load_identity(pages.folder).subs["unicorn"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ends with its module: Playwright's event loop runs on, and other tests start their own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(pages: LocalStack, chromium: Browser) -> Iterator[Callable[..., Window]]:
    """Opens windows, or further tabs of a window; each must have kept its console clean."""
    opened: list[Window] = []

    def open_window(viewport: dict[str, int] = DESKTOP, beside: Window | None = None) -> Window:
        context = beside.context if beside else profile(chromium, viewport)
        opened.append(Window(context, pages.settings["API_URL"]))
        return opened[-1]

    yield open_window
    for each in opened:
        each.close()
    assert [fault for each in opened for fault in each.faults] == []


@pytest.fixture
def rider(window: Callable[..., Window], password: str, pages: LocalStack) -> Iterator[Window]:
    """A rider who is signed in and has no open ride, before and after the test."""
    cancel_rides(pages)
    opened = window(PHONE)
    opened.sign_in("/", "rider", password)
    yield opened
    cancel_rides(pages)
