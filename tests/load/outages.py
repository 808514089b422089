"""Outages with many rides under way: `python -m tests.load.outages [--rides N] [--stale S]`.

DynamoDB, Redis, the API and the key endpoint (with an API that begins without keys) go away in
turn, each for three times the staleness of a position, while every unicorn keeps sending. Prints
how many rides were taken from their unicorns; none may be. The longest time between two calls of a
unicorn tells whether it did keep sending: on a busy machine this program may be too slow for that.
The network is in `tests/unit/core/test_outages.py`, in virtual time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from tests.load.bench.stage import stage
from tests.support.infrastructure import wait_until
from tests.support.key_server import KeyServer
from tests.support.stack import Stack

HERE = {"latitude": 40.7128, "longitude": -74.0060}
AT_ONCE = 8
"""Threads that act for the unicorns."""


class Fleet:
    """Unicorns that each have a ride, and keep sending where they are."""

    def __init__(self, stack: Stack, size: int, every: float) -> None:
        self._stack = stack
        self._every = every
        self._tokens = [stack.unicorn_token(f"driver-{number}") for number in range(size)]
        self._ended = threading.Event()
        self._sent = dict[str, float]()
        self.answers: Counter[object] = Counter()
        self.longest_pause = 0.0

    def goes_on_duty(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._on_duty, range(len(self._tokens))))

    def gets_rides(self) -> list[str]:
        """One for each unicorn; returns their ids."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._requested, range(len(self._tokens))))

    def keeps_sending(self) -> Callable[[], None]:
        """Until the returned function is called."""
        threads = [
            threading.Thread(target=self._send_in_turn, args=(self._tokens[part::AT_ONCE],))
            for part in range(AT_ONCE)
        ]
        for thread in threads:
            thread.start()

        def end() -> None:
            self._ended.set()
            for thread in threads:
                thread.join()

        return end

    def withdrawn(self, rides: list[str]) -> int:
        """How many rides are no longer with their first unicorn."""
        admin = self._stack.admin_token()

        def is_withdrawn(ride_id: str) -> bool:
            ride: Any = self._stack.call("GET", f"/v1/admin/rides/{ride_id}", token=admin).json
            return bool((ride["status"], ride["version"]) != ("matched", 2))

        return sum(map(is_withdrawn, rides))

    def _on_duty(self, number: int) -> None:
        self._stack.on_duty(f"driver-{number}", HERE, name=f"u{number}")

    def _requested(self, number: int) -> str:
        token = self._stack.rider_token(f"rider-{number}")
        answer = self._stack.call(
            "POST", "/v1/rides", {"pickup": HERE}, token=token, Prefer="wait=30"
        )
        assert answer.status == 201, answer.body
        ride_id: str = answer.json["ride_id"]
        return ride_id

    def _send_in_turn(self, tokens: list[str]) -> None:
        while not self._ended.is_set():
            begun = time.monotonic()
            for token in tokens:
                self.answers[self._send(token)] += 1
                if self._ended.is_set():
                    return
            self._ended.wait(max(0.0, self._every - (time.monotonic() - begun)))

    def _send(self, token: str) -> object:
        now = time.monotonic()
        self.longest_pause = max(self.longest_pause, now - self._sent.get(token, now))
        self._sent[token] = now
        with suppress(OSError):
            return self._stack.call(
                "PUT", "/v1/fleet/me/position", HERE, token=token, timeout=3
            ).status
        return "no answer"


def outages(
    stack: Stack, keys: KeyServer
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """By name, how each part goes away and comes back."""
    aws = stack.ministack.process.pid

    def api_back() -> None:
        stack.start("web")

    def keys_away() -> None:
        keys.fail()
        stack.kill("web")
        stack.start("web")

    return {
        "DynamoDB": (lambda: os.kill(aws, signal.SIGSTOP), lambda: os.kill(aws, signal.SIGCONT)),
        "Redis": (stack.redis.pause, stack.redis.resume),
        "API": (lambda: stack.kill("web"), api_back),
        "keys": (keys_away, lambda: keys.serve(stack.mint.key)),
    }


@contextmanager
def a_service(stale: int) -> Iterator[tuple[Stack, KeyServer]]:
    """A whole service whose keys come from an endpoint."""
    with (
        KeyServer() as keys,
        stage(
            roles=("worker", "beat"),
            UNICORN_STALE_SECONDS=str(stale),
            RATE_LIMIT_ENABLED="false",
            AUTH_JWKS_FILE="",
            COGNITO_JWKS_URL=keys.url,
        ) as stack,
    ):
        keys.serve(stack.mint.key)
        stack.start("web")
        wait_until(stack._is_ready, "readiness")
        yield stack, keys


def drill(fleet: Fleet, stack: Stack, keys: KeyServer, stale: int) -> Iterator[int]:
    """Let one part after the other go away; yields how many rides each outage cost."""
    rides = fleet.gets_rides()
    for name, (go, come_back) in outages(stack, keys).items():
        fleet.answers.clear()
        fleet.longest_pause = 0.0
        go()
        time.sleep(3 * stale)
        come_back()
        wait_until(stack._is_ready, "readiness")
        time.sleep(2 * stale)
        taken = fleet.withdrawn(rides)
        print(
            f"{name:<10} {len(rides)} rides, {taken} withdrawn; {dict(fleet.answers)};"
            f" longest pause {fleet.longest_pause:.1f} s",
            flush=True,
        )
        yield taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="outages")
    parser.add_argument("--rides", type=int, default=200)
    parser.add_argument("--stale", type=int, default=10, help="UNICORN_STALE_SECONDS")
    given = parser.parse_args()
    with a_service(given.stale) as (stack, keys):
        fleet = Fleet(stack, given.rides, given.stale / 4)
        fleet.goes_on_duty()
        end = fleet.keeps_sending()
        try:
            lost = sum(drill(fleet, stack, keys, given.stale))
        finally:
            end()
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
