"""An operator's console draws where the service sends an idle unicorn, on real parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from urllib3.exceptions import HTTPError

from service.local.driving import Place
from service.matching.zones import zone_of
from service.model import Location
from service.stores.redis import keys
from service.stores.redis.link import connect
from service.stores.redis.moves import RequestCounter
from tests.browser.windows import DESKTOP, Window
from tests.support.builders import a_ride
from tests.support.infrastructure import wait_until
from tests.support.local_stack import LocalStack

# In a zone of its own, since the other tests of this stack have riders and unicorns in New York.
RIDERS = Location(39.9526, -75.1652)
WEST_OF_THEM = Place(39.9526, -75.1781)
"""1.1 km away. From 0.7 km on, a unicorn may wait where it is, and is sent nowhere."""
METRES_PER_SECOND = 3.0
"""Slow, so that the arrow lasts for two minutes, but fast enough to count as following."""

ARROW_PIXELS = """() => {
  const canvas = document.querySelector(".city-layer");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const [red, green, blue, alpha] = [18, 166, 124, 153]; // --goal of console.css
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const away = [data[at] - red, data[at + 1] - green, data[at + 2] - blue, data[at + 3] - alpha];
    count += away.every((each) => Math.abs(each) < 6);
  }
  return count > 200;
}"""
"""Whether the canvas shows an arrow of 100 pixels or more. Unicorns are opaque, an arrow is not."""


def remember_riders(pages: LocalStack) -> None:
    """Redis has counted for an hour, and thirty riders have just asked for rides."""
    client = connect(f"redis://127.0.0.1:{pages.ports.redis}/0", timeout_seconds=10)
    counter, now = RequestCounter(), datetime.now(UTC)
    client.set(keys.EPOCH, int((now - timedelta(hours=1)).timestamp() * 1000))
    for number in range(30):
        zone, rider = zone_of(RIDERS), f"rider-{number}"
        ride = a_ride(rider_id=rider, pickup=RIDERS, zone=zone, requested_at=now)
        client.exchange(counter.commands(ride))
    client.close()


@contextmanager
def steered(pages: LocalStack, name: str, start: Place) -> Iterator[None]:
    """A fleet's machine says where the unicorn is, and drives it where it is advised to wait."""
    ending = threading.Event()

    def steer() -> None:
        place, reported_at = start, time.monotonic()
        while not ending.is_set():
            at = {"latitude": place.latitude, "longitude": place.longitude}
            body = {"positions": [{"unicorn_id": name, **at}]}
            advice = []
            with suppress(AssertionError, HTTPError):  # a busy machine: the next call will do
                pages.call("POST", "/v1/fleet/positions", body, token="MACHINE_TOKEN")
                advice = pages.call("GET", "/v1/fleet/advice", token="MACHINE_TOKEN")["advice"]
            ending.wait(1)
            now = time.monotonic()
            for goal in (Place(each["latitude"], each["longitude"]) for each in advice):
                metres = METRES_PER_SECOND * (now - reported_at)
                place = place.towards(goal, min(1.0, metres / max(1.0, place.metres_to(goal))))
            reported_at = now

    machine = threading.Thread(target=steer)
    machine.start()
    try:
        yield
    finally:
        ending.set()
        machine.join()


@pytest.fixture
def embarr(pages: LocalStack) -> Iterator[str]:
    """The id of an idle unicorn, steered by a machine, near thirty riders who asked for rides."""
    at = {"latitude": WEST_OF_THEM.latitude, "longitude": WEST_OF_THEM.longitude}
    unicorn = {"unicorn_id": "embarr", "name": "Embarr", "color": "White", "gender": "Male"}
    made = pages.call("POST", "/v1/admin/unicorns", {**unicorn, "location": at}, "ADMIN_TOKEN")
    headers = {
        "Authorization": f"Bearer {pages.settings['ADMIN_TOKEN']}",
        "If-Match": f'"{made["version"]}"',
    }
    url = f"{pages.settings['API_URL']}/v1/admin/unicorns/embarr"
    duty = urllib3.request("PATCH", url, json={"accepting": True}, headers=headers, timeout=10)
    assert duty.status == 200, duty.data
    remember_riders(pages)
    with steered(pages, "embarr", WEST_OF_THEM):
        yield "embarr"


def test_the_console_draws_an_arrow_from_an_idle_unicorn_to_where_it_is_sent(
    pages: LocalStack, window: Callable[..., Window], password: str, embarr: str
) -> None:
    def is_sent() -> bool:
        return bool(pages.call("GET", "/v1/admin/advice", token="ADMIN_TOKEN")["advice"])

    wait_until(is_sent, "advice for the unicorn")
    admin = window(DESKTOP)
    admin.sign_in("/console", "admin", password)
    admin.page.get_by_role("tab", name="Fleet").click()
    admin.page.locator("#unicorns").get_by_role("button", name=embarr).click()
    admin.presses("Show on map")
    admin.page.get_by_role("tab", name="City").click()
    admin.sees("#counts div:has(.sent) dd", "1")
    admin.page.wait_for_function(ARROW_PIXELS)
