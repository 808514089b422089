"""Measures the positions per second of one API core, one by one and in bulk, beside a plain GET.

It counts the CPU of the API process alone. Other work on the machine slows down positions and the
plain GET (`/healthz`: the server and the hooks of every request) alike, so read the ratios.
"""

from __future__ import annotations

import json
import random
import time
from http.client import HTTPConnection
from typing import Any

from tests.load.bench.processes import cpu_seconds
from tests.load.bench.requests import Probe
from tests.load.bench.stage import stage
from tests.support.builders import a_usable_unicorn
from tests.support.stack import Stack

UNICORNS = 1000
POSITIONS = 4000
FLEET, EVERY_SECONDS = 10_000, 4


def main() -> None:
    with stage(roles=("web",), RATE_LIMIT_ENABLED="false") as stack:
        probe = Probe(stack)
        for number in range(UNICORNS):
            unicorn = a_usable_unicorn(unicorn_id=f"u{number}", account_sub=f"u{number}")
            probe.ports.unicorns.create(unicorn)
        print(
            f"{'positions':<18} {'CPU each':>10} {'÷ GET':>7} {'per core':>10} {'by the clock':>14}"
        )
        plain = plain_get(stack)
        print(f"{'a plain GET':<18} {1e6 * plain:>7.0f} µs", flush=True)
        measure(stack, "one by one (PUT)", 1, plain)
        for size in (100, 500):
            measure(stack, f"in bulk of {size}", size, plain)
        probe.close()


def plain_get(stack: Stack) -> float:
    """CPU seconds of a GET that needs no store."""
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)
    web = stack.processes["web"].pid
    for number in (UNICORNS, POSITIONS):
        used = cpu_seconds(web)
        for _ in range(number):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
    connection.close()
    return (cpu_seconds(web) - used) / POSITIONS


def measure(stack: Stack, name: str, size: int, plain: float) -> None:
    tokens = [stack.unicorn_token(f"u{number}") for number in range(100)]
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)
    send(stack, connection, size, tokens, UNICORNS)  # states are known afterwards
    web = stack.processes["web"].pid
    used, begun = cpu_seconds(web), time.monotonic()
    send(stack, connection, size, tokens, POSITIONS)
    cpu, took = cpu_seconds(web) - used, time.monotonic() - begun
    rate = POSITIONS / cpu
    print(
        f"{name:<18} {1e6 * cpu / POSITIONS:>7.0f} µs {1 / rate / plain:>7.2f}"
        f" {rate:>8.0f}/s {POSITIONS / took:>12.0f}/s"
        f"   {FLEET} unicorns every {EVERY_SECONDS} s: {FLEET / EVERY_SECONDS / rate:.2f} cores",
        flush=True,
    )
    connection.close()


def send(
    stack: Stack, connection: HTTPConnection, size: int, tokens: list[str], number: int
) -> None:
    machine, dice = stack.mint.machine_token(), random.Random(7)
    for begin in range(0, number, size):
        if size == 1:
            driver = begin % len(tokens)
            method, path, token = "PUT", "/v1/fleet/me/position", tokens[driver]
            body: Any = place(driver, dice)
        else:
            method, path, token = "POST", "/v1/fleet/positions", machine
            numbers = [(begin + n) % UNICORNS for n in range(size)]
            body = {"positions": [{"unicorn_id": f"u{n}", **place(n, dice)} for n in numbers]}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {200, 204}, answer.status


def place(number: int, dice: random.Random) -> dict[str, float]:
    """Positions of unicorns that each stay near one place, because a jump across the city is not
    believed.
    """
    home = random.Random(number)
    latitude, longitude = 40.7 + home.uniform(0, 0.1), -74 + home.uniform(0, 0.05)
    return {
        "latitude": latitude + dice.uniform(0, 0.001),
        "longitude": longitude + dice.uniform(0, 0.001),
    }


if __name__ == "__main__":
    main()
