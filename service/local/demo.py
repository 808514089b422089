"""Requests one ride and watches it, for `make demo`."""

from __future__ import annotations

import time

import urllib3

from service.local.stack import StackError

PICKUP = {"latitude": 40.7175, "longitude": -73.9995}
PATIENCE_SECONDS = 300.0
TERMINAL = ("completed", "canceled", "unmatched")


def run(url: str, token: str) -> None:
    """Print each state of the ride; `StackError` unless a unicorn completes it."""
    http = urllib3.PoolManager(timeout=40)
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=20"}
    began = time.monotonic()
    answer = http.request("POST", f"{url}/v1/rides", json={"pickup": PICKUP}, headers=headers)
    print(f"POST /v1/rides -> {answer.status}")
    if answer.status not in (201, 202):
        raise StackError(answer.data.decode())
    address = f"{url}{answer.headers['Location']}"
    ride = answer.json()
    shown = ""
    while time.monotonic() - began < PATIENCE_SECONDS:
        if ride["status"] != shown:
            shown = ride["status"]
            print(_line(time.monotonic() - began, ride))
        if shown in TERMINAL:
            break
        seen = headers | {"If-None-Match": f'"{ride["version"]}"'}
        answer = http.request("GET", address, headers=seen)
        ride = answer.json() if answer.status == 200 else ride
    if shown != "completed":
        raise StackError(f"the ride was not completed: {shown}")


def _line(seconds: float, ride: dict[str, object]) -> str:
    unicorn = ride["unicorn"]
    who = f"  {unicorn['name']} ({unicorn['color']})" if isinstance(unicorn, dict) else ""
    return f"{seconds:6.2f} s  {ride['status']}{who}"
