"""Idle unicorns are told where riders will be: real API, worker, beat and Redis."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redis

from service.model import Location
from service.stores.redis import keys
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

TIMES_SQUARE = {"latitude": 40.7580, "longitude": -73.9855}
A_MILE_SOUTH = {"latitude": 40.7470, "longitude": -73.9855}
RIDERS = 25


def ask_and_cancel(stack: Stack, number: int) -> None:
    token = stack.rider_token(f"rider-{number}")
    ride = stack.call("POST", "/v1/rides", {"pickup": TIMES_SQUARE}, token=token).json
    path = f"/v1/rides/{ride['ride_id']}/cancel"
    assert stack.call("POST", path, {}, token=token).status == 200


def test_a_waiting_driver_is_woken_with_advice_until_staff_turns_it_off(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        # Redis has remembered for an hour already.
        client.set(keys.EPOCH, int((time.time() - 3600) * 1000))
    with Stack(tmp_path, ministack, redis_server, REPOSITION_SECONDS="2") as stack:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: ask_and_cancel(stack, number), range(RIDERS)))
        driver = stack.on_duty("driver-1", A_MILE_SOUTH, unicorn_id="u1")

        def me(**headers: str) -> Any:
            return stack.call("GET", "/v1/fleet/me", token=driver, **headers).json["advice"]

        advice = me(Prefer="wait=25")
        assert advice["reason"] == "riders_expected"
        target = Location(advice["latitude"], advice["longitude"])
        assert abs(target.latitude - TIMES_SQUARE["latitude"]) < 0.002
        machine = stack.call("GET", "/v1/fleet/advice", token=stack.mint.machine_token()).json
        assert [each["unicorn_id"] for each in machine["advice"]] == ["u1"]
        change = {"repositioning": "off"}
        admin = stack.admin_token()
        changed = stack.call("PUT", "/v1/admin/dispatch", change, token=admin)
        assert changed.status == 200
        wait_until(lambda: me() is None, "the end of the advice")
