"""What several walks do, outside the window that is looked at or in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import urllib3

from tests.browser.windows import Window
from tests.support.infrastructure import wait_until
from tests.support.local_stack import LocalStack

PICKUP, DROPOFF = "40.7202, -74.0004", "40.7281, -73.9902"


def staff(pages: LocalStack, method: str, path: str, body: Any = None, **headers: str) -> int:
    """What an admin does outside the window that is looked at; answers the status."""
    sent = {"Authorization": f"Bearer {pages.settings['ADMIN_TOKEN']}", **headers}
    url = pages.settings["API_URL"] + path
    return int(urllib3.request(method, url, json=body, headers=sent, timeout=10).status)


def cancel_rides(pages: LocalStack) -> None:
    for ride in pages.call("GET", "/v1/rides")["rides"]:
        if ride["status"] not in {"completed", "canceled", "unmatched"}:
            staff(pages, "POST", f"/v1/admin/rides/{ride['ride_id']}/cancel", {})


def choose(rider: Window) -> None:
    rider.page.get_by_label("Pickup").fill(PICKUP)
    rider.page.get_by_label("Drop-off").fill(DROPOFF)
    rider.page.get_by_label("Drop-off").press("Tab")


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def open_streams_until(pages: LocalStack, path: str, is_enough: Callable[[], bool]) -> None:
    """Open streams of the demo rider until it is enough, then close them. The service refuses some
    of them, because it ends another stream of the same rider only every 10 s."""
    headers = {"Authorization": f"Bearer {pages.settings['RIDER_TOKEN']}"}
    url = pages.settings["API_URL"] + path
    with ExitStack() as streams, urllib3.PoolManager() as http:

        def has_opened_enough() -> bool:
            stream = http.request("GET", url, headers=headers, preload_content=False)
            streams.callback(stream.close)
            return is_enough()

        wait_until(has_opened_enough, "the end of the oldest stream")
