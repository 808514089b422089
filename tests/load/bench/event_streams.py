"""Measures how much open event streams of the map slow riders down, and what a map costs.

`python -m tests.load.bench.event_streams [--seconds 20]` runs one web process on real stores. A
rider's app requests rides one after the other, without and with 1,000 open streams of
`/v1/admin/events` on the same process, while each of 200 unicorns reports its place every 5 s. Then
it measures the CPU of `/v1/admin/map` with 5,000 unicorns.
"""

from __future__ import annotations

import argparse
import json
import random
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from threading import Event, Thread

import numpy as np

from service.model import Location, Position
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from tests.load.bench.processes import cpu_seconds
from tests.load.bench.stage import stage
from tests.support.builders import a_usable_unicorn
from tests.support.pressure import BODY
from tests.support.stack import Stack

STREAMS, EACH = 1000, 5
FLEET, EVERY_SECONDS = 200, 5.0
ON_MAP, MAPS = 5000, 10
PAUSE_SECONDS = 0.05


class Fleet:
    """Unicorns that are on the map because they report their places."""

    def __init__(self, stack: Stack, size: int) -> None:
        self._link = RedisLink(connect(stack.redis.url, timeout_seconds=5))
        self._index = RedisFleetIndex(self._link, timedelta(seconds=60))
        self._dice = random.Random(7)
        self._names = [f"u{number}" for number in range(size)]
        now = datetime.now(UTC)
        self.report(self._names)
        self._index.refresh_all([a_usable_unicorn(unicorn_id=n) for n in self._names], now)

    def report(self, names: Sequence[str]) -> None:
        now = datetime.now(UTC)
        places = {name: Position(self._somewhere(), now, 90.0, 5.0) for name in names}
        self._index.record_all(places, now)

    @contextmanager
    def driving(self) -> Iterator[None]:
        """While the context lasts, each unicorn reports its place every `EVERY_SECONDS`, a fifth of
        them at a time.
        """
        over = Event()

        def drive() -> None:
            turn = 0
            while not over.wait(EVERY_SECONDS / 5):
                turn += 1
                self.report(self._names[turn % 5 :: 5])
                unicorns = [a_usable_unicorn(unicorn_id=n) for n in self._names[turn % 5 :: 5]]
                self._index.refresh_all(unicorns, datetime.now(UTC))

        thread = Thread(target=drive)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        self._link.client.close()

    def _somewhere(self) -> Location:
        return Location(40.7 + self._dice.random() / 10, -74.0 + self._dice.random() / 10)


def read_streams(port: int, tokens: Sequence[str], opened: Synchronized, got: Synchronized) -> None:
    """Open the streams and read from them until this process is ended."""
    chosen = selectors.DefaultSelector()
    for token in tokens:
        connection = socket.create_connection(("127.0.0.1", port))
        request = (
            f"GET /v1/admin/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        connection.sendall(request.encode())
        chosen.register(connection, selectors.EVENT_READ)
        assert b" 200 " in connection.recv(20)
        opened.value += 1
        time.sleep(0.005)
    while True:
        for key, _ in chosen.select(1):
            got.value += len(key.fileobj.recv(1 << 20))  # type: ignore[union-attr]


@contextmanager
def streams(stack: Stack, number: int) -> Iterator[Synchronized]:
    """Keep this many streams open in a separate process. Yields the bytes that they received."""
    context = get_context("spawn")
    opened, got = context.Value("l", 0), context.Value("l", 0)
    tokens = [
        stack.mint.access_token(
            sub=f"admin-{n // EACH}", username="a", scope="wildrydes/admin", groups=["admin"]
        )
        for n in range(number)
    ]
    reader = context.Process(
        target=read_streams, args=(stack.port, tokens, opened, got), daemon=True
    )
    if number:
        reader.start()
    try:
        while opened.value < number:
            time.sleep(0.1)
            assert reader.is_alive(), "a stream was refused"
        time.sleep(2 if number else 0)
        yield got
    finally:
        if number:
            reader.terminate()
            reader.join()


def requests(stack: Stack, seconds: float) -> list[float]:
    """Request rides one after the other; returns the seconds of each request."""
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)
    headers = {"Content-Type": "application/json"}
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        token = stack.rider_token(f"rider-{len(times)}")
        time.sleep(PAUSE_SECONDS)
        begun = time.monotonic()
        sent = headers | {"Authorization": f"Bearer {token}"}
        connection.request("POST", "/v1/rides", json.dumps(BODY), sent)
        answer = connection.getresponse()
        answer.read()
        times.append(time.monotonic() - begun)
        assert answer.status == 202, answer.status
    connection.close()
    return times


def show(stack: Stack, fleet: Fleet, number: int, seconds: float) -> float:
    """Measure with this many streams. Returns the p99 of a request in seconds."""
    pid = stack.processes["web"].pid
    with fleet.driving(), streams(stack, number) as got:
        cpu, begun, before = cpu_seconds(pid), time.monotonic(), got.value
        times = requests(stack, seconds)
        took = time.monotonic() - begun
        share, rate = (cpu_seconds(pid) - cpu) / took, (got.value - before) / took
    p50, p99 = np.quantile(times, (0.5, 0.99))
    print(
        f"{number:>5} streams  {len(times):5} requests  p50 {1e3 * p50:6.1f} ms"
        f"  p99 {1e3 * p99:6.1f} ms  web {100 * share:3.0f} % of a core"
        f"  streams {rate / 1e6:5.1f} MB/s",
        flush=True,
    )
    return float(p99)


def show_map(stack: Stack) -> None:
    fleet, pid, token = Fleet(stack, ON_MAP), stack.processes["web"].pid, stack.admin_token()
    cpu, size, found = cpu_seconds(pid), 0, 0
    for _ in range(MAPS):
        fleet.report([f"u{number}" for number in range(ON_MAP)])
        answer = stack.call("GET", "/v1/admin/map", token=token)
        size, found = len(answer.body), len(answer.json["unicorns"])
    used = (cpu_seconds(pid) - cpu) / MAPS
    print(f"map of {found} unicorns: {1e3 * used:.0f} ms of CPU, {size / 1e6:.1f} MB", flush=True)
    fleet.close()


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args(arguments).seconds
    if not sys.platform.startswith("linux"):
        print("skipped: CPU of processes is read from /proc")
        return
    room = str(STREAMS + 100)
    with stage(roles=("web",), RATE_LIMIT_ENABLED="false", API_MAX_WAITERS=room) as stack:
        fleet = Fleet(stack, FLEET)
        show(stack, fleet, 0, 3)
        idle = show(stack, fleet, 0, seconds)
        followed = show(stack, fleet, STREAMS, seconds)
        print(f"p99 with {STREAMS} streams is {followed / idle:.2f} times that without")
        fleet.close()
        show_map(stack)


if __name__ == "__main__":
    main(sys.argv[1:])
