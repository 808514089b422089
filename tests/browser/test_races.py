"""Answers that come late change nothing that a rider or a driver has seen since."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.browser.steps import choose, staff
from tests.browser.windows import PHONE, Window
from tests.support.local_stack import LocalStack

Open = Callable[..., Window]
UNICORN = {"unicorn_id": "xanthos", "name": "Xanthos", "color": "Golden", "gender": "Male"}
ON_THE_MAP = "#map .unicorn:not(.far)"


@pytest.fixture
def driver(window: Open, password: str, pages: LocalStack, driver_account: str) -> Iterator[Window]:
    """A driver who is on duty and wants to be asked."""
    unicorn_id = f"u-{uuid.uuid4().hex[:8]}"
    unicorn = UNICORN | {"unicorn_id": unicorn_id, "account_sub": driver_account}
    # 409: the walks have enrolled a unicorn of this account.
    made = staff(pages, "POST", "/v1/admin/unicorns", unicorn | {"auto_accept": False})
    assert made in {201, 409}
    opened = window(PHONE)
    opened.sign_in("/drive", "unicorn", password)
    opened.presses("Go on duty")
    opened.sees("#state", "on duty, free")
    yield opened
    opened.presses("Go off duty")
    opened.sees("#state", "off duty")
    if made == 201:
        path = f"/v1/admin/unicorns/{unicorn_id}"
        assert staff(pages, "DELETE", path, **{"If-Match": "*"}) == 204


class Held:
    """The first answer of the API to a path: the service has given it, the page waits for it."""

    def __init__(self, page: Page, path: str) -> None:
        self._page = page
        self._answer: tuple[Route, APIResponse] | None = None
        page.route(path, self._hold, times=1)

    def _hold(self, route: Route) -> None:
        self._answer = route, route.fetch()

    def release(self) -> None:
        assert self._answer is not None
        route, answer = self._answer
        route.fulfill(response=answer)
        # Another round trip: the page has taken the answer up before this one ends.
        self._page.evaluate("fetch('/healthz').then((answer) => answer.text())")


def test_a_late_answer_about_a_ride_does_not_replace_the_next_ride(rider: Window) -> None:
    choose(rider)
    rider.presses("Request a unicorn")
    held = Held(rider.page, "**/cancel")
    rider.presses("Cancel this ride")
    rider.sees("#ride-title", "Canceled")
    rider.presses("Another ride")
    choose(rider)
    rider.presses("Request a unicorn")
    rider.sees("#ride-title", "Looking for your unicorn")
    held.release()
    rider.sees("#ride-title", "Looking for your unicorn")


def test_a_unicorn_that_was_taken_off_a_ride_leaves_the_map(rider: Window) -> None:
    shown: list[dict[str, Any]] = []

    def tell(route: Route) -> None:
        """The event stream of a ride: matched, and after the break requested again."""
        ride = shown.pop(0) if len(shown) > 1 else shown[0]
        event = f"event: ride\nid: {ride['version']}\ndata: {json.dumps(ride)}\n\n"
        route.fulfill(body=event, content_type="text/event-stream")

    def request(route: Route) -> None:
        answer = route.fetch()
        ride = answer.json()
        unicorn = UNICORN | {"location": ride["pickup"]}
        matched = {"status": "matched", "unicorn": unicorn, "pickup_eta_seconds": 60}
        shown[:] = ride | matched | {"version": 2}, ride | {"version": 3}
        route.fulfill(response=answer)

    rider.page.route("**/v1/rides", request)
    rider.page.route("**/events", tell)
    choose(rider)
    rider.presses("Request a unicorn")
    rider.sees("#ride-title", "Xanthos is on the way")
    rider.sees(ON_THE_MAP)
    rider.sees("#ride-title", "Looking for your unicorn")
    expect(rider.page.locator(ON_THE_MAP)).to_have_count(0)


def test_a_device_that_says_late_where_it_is_does_not_replace_a_chosen_place(rider: Window) -> None:
    rider.page.evaluate(
        "navigator.geolocation.getCurrentPosition = (found) => {"
        " globalThis.say = () => found({coords: {latitude: 40.75, longitude: -73.98}}); }"
    )
    rider.page.locator("#here").click()
    choose(rider)
    rider.page.evaluate("say()")
    expect(rider.page.get_by_label("Pickup")).to_have_value("40.72020, -74.00040")


def test_a_late_answer_about_a_ride_does_not_hide_the_next_offer(
    rider: Window, driver: Window
) -> None:
    choose(rider)
    rider.presses("Request a unicorn")
    for step in ("Accept", "I am at the pickup", "Start the ride"):
        driver.presses(step)
    rider.sees("#ride-title", "Enjoy the ride")
    held = Held(driver.page, "**/complete")
    driver.presses("Complete the ride")
    expect(driver.page.locator("#ride")).to_be_hidden()
    rider.presses("Another ride")
    choose(rider)
    rider.presses("Request a unicorn")
    driver.sees("#ride-title", "A ride for you")
    held.release()
    driver.sees("#notice", "Well driven")
    driver.sees("#ride-title", "A ride for you")
    driver.presses("Decline")
    expect(driver.page.locator("#ride")).to_be_hidden()
