"""The workshop's two pages ride on the local stack (`tests/browser/workshop/README.md`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from service.local.provisioning import load_identity
from tests.browser.windows import DESKTOP, Window
from tests.browser.workshop_hosts import Site
from tests.clients import tools
from tests.support.local_stack import LocalStack

Open = Callable[..., Window]
PAGES = Path(os.environ.get("WORKSHOP_PAGES", Path(__file__).parent / "workshop"))
DRIVER = "herd-01"
SEATTLE = {"latitude": 47.6, "longitude": -122.31}


@pytest.fixture(scope="module", autouse=True)
def identity_js() -> None:
    if not tools.has_npm():
        pytest.skip(tools.MISSING)
    tools.install()


@pytest.fixture
def enroll(pages: LocalStack) -> Iterator[Callable[[], None]]:
    """Puts a unicorn on duty in Seattle, where the workshop's map begins, driven by a demo user.

    It is on duty for a minute, because nobody says where it is after that.
    """

    def put_on_duty() -> None:
        unicorn = {
            "unicorn_id": "seabiscuit",
            "name": "Seabiscuit",
            "color": "Bay",
            "gender": "Male",
            "account_sub": load_identity(pages.folder).subs[DRIVER],
            "location": SEATTLE,
        }
        pages.call("POST", "/v1/admin/unicorns", unicorn, token="ADMIN_TOKEN")
        change(pages, "PATCH", {"accepting": True})

    yield put_on_duty
    for ride in pages.call("GET", "/v1/rides")["rides"]:
        if ride["status"] not in {"completed", "canceled", "unmatched"}:
            pages.call("POST", f"/v1/rides/{ride['ride_id']}/cancel", {})
    change(pages, "DELETE")


def change(pages: LocalStack, method: str, body: dict[str, bool] | None = None) -> None:
    headers = {"Authorization": f"Bearer {pages.settings['ADMIN_TOKEN']}", "If-Match": "*"}
    url = f"{pages.settings['API_URL']}/v1/admin/unicorns/seabiscuit"
    assert urllib3.request(method, url, json=body, headers=headers).status < 300


def test_the_riders_page_gets_a_unicorn_and_the_drivers_page_lists_the_ride(
    pages: LocalStack, app_port: int, window: Open, password: str, enroll: Callable[[], None]
) -> None:
    rider, website = window(DESKTOP), PAGES / "1_StaticWebHosting" / "website"
    site = Site(website, app_port, pages.settings)
    with site.open_in(rider.page):
        rider.page.goto(f"{site.origin}/signin.html")
        rider.page.locator("#emailInputSignin").fill("rider@example.com")
        rider.page.locator("#passwordInputSignin").fill(password)
        rider.page.locator("#signinForm [type=submit]").click()
        rider.page.wait_for_url(f"{site.origin}/ride.html")
        rider.page.locator("#map").click()
        enroll()
        rider.page.locator("#request").click()
        rider.sees("#updates", "Seabiscuit, your Bay unicorn, is on his way.")

    driver, manager = window(DESKTOP), PAGES / "5_OAuth" / "UnicornManager"
    site = Site(manager, app_port, pages.settings)
    with site.open_in(driver.page):
        driver.page.goto(f"{site.origin}/")
        driver.log_in(DRIVER, password)
        driver.page.locator("#refresh").click()
        [ride] = pages.call("GET", "/v1/rides?limit=1")["rides"]
        for text in (ride["ride_id"], "Bay", ride["rider_id"]):
            driver.sees("#rideList", text)
