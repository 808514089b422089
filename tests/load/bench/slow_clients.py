"""Measures what slow clients cost other clients: `python -m tests.load.bench.slow_clients
[--seconds 20]`.

A real web process runs on real stores; 50 riders and 50 unicorns each call once a second. The run
compares this without and with 1,000 connections of one rider from another address, which never
finish a request and read no answer. Each connection is closed after six seconds and opened again:
first one after the other, then all in the same instant. A separate process holds them, so that they
cost the measuring clients only the machine's time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.synchronize import Event

import numpy as np

from tests.load.bench.processes import cpu_seconds
from tests.load.bench.stage import stage
from tests.support.pressure import BODY
from tests.support.slow_clients import LIFE_SECONDS, TICK_SECONDS, SlowClients
from tests.support.stack import Stack

CALLERS = 50
SLOW = 1000
TICKS = round(LIFE_SECONDS / TICK_SECONDS)
POSITION = {"latitude": 40.71, "longitude": -73.95}

Told = tuple[int, float]
"""Status and seconds of one call."""


def timed(stack: Stack, method: str, path: str, token: str, body: object = None) -> Told:
    start = time.monotonic()
    status = stack.call(method, path, body, token=token).status
    return status, time.monotonic() - start


def ride(stack: Stack, number: int, seconds: float) -> list[Told]:
    """Request a ride and read the list of rides, in turns."""
    token, told, end = stack.rider_token(f"rider-{number}"), [], time.monotonic() + seconds
    time.sleep(number / CALLERS)
    while time.monotonic() < end:
        told.append(timed(stack, "POST", "/v1/rides", token, BODY))
        time.sleep(1)
        told.append(timed(stack, "GET", "/v1/rides?limit=1", token))
        time.sleep(1)
    return told


def drive(stack: Stack, token: str, seconds: float) -> list[Told]:
    """Report a unicorn's position."""
    told, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        told.append(timed(stack, "PUT", "/v1/fleet/me/position", token, POSITION))
        time.sleep(1)
    return told


@contextmanager
def slow_clients(stack: Stack, each_tick: int | None) -> Iterator[None]:
    """Run slow clients in a separate process while the context lasts."""
    spawning = multiprocessing.get_context("spawn")
    begun, ended = spawning.Event(), spawning.Event()
    wanted = (stack.port, stack.rider_token("slow"), each_tick, begun, ended)
    process = spawning.Process(target=be_slow, args=wanted)
    process.start()
    begun.wait()
    try:
        yield
    finally:
        ended.set()
        process.join()


def be_slow(port: int, token: str, each_tick: int | None, begun: Event, ended: Event) -> None:
    with SlowClients([port], token, SLOW, each_tick=each_tick):
        begun.set()
        ended.wait()


def show(
    stack: Stack,
    name: str,
    drivers: Sequence[str],
    seconds: float,
    attack: AbstractContextManager[None] = nullcontext(),  # noqa: B008 - has no state
) -> None:
    pid = stack.processes["web"].pid
    with attack, ThreadPoolExecutor(2 * CALLERS) as pool:
        cpu, start = cpu_seconds(pid), time.monotonic()
        work = [pool.submit(ride, stack, number, seconds) for number in range(CALLERS)]
        work += [pool.submit(drive, stack, driver, seconds) for driver in drivers]
        told = [each for done in work for each in done.result()]
        share = (cpu_seconds(pid) - cpu) / (time.monotonic() - start)
    p50, p99 = 1e3 * np.quantile([each for _, each in told], (0.5, 0.99))
    print(
        f"{name:<22} {len(told):5} calls, answers {dict(Counter(status for status, _ in told))}"
        f"  p50 {p50:5.1f} ms  p99 {p99:5.1f} ms"
        f"  web {100 * share:3.0f} % of a core",
        flush=True,
    )


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args(arguments).seconds
    if not sys.platform.startswith("linux"):
        print("skipped: CPU of processes is read from /proc")
        return
    with stage(roles=("web",)) as stack:
        drivers = [stack.on_duty(f"driver-{n}", POSITION, name=f"u{n}") for n in range(CALLERS)]
        show(stack, "warming up", drivers, 5)
        for name, each_tick in ("one by one", SLOW // TICKS), ("at once", None):
            show(stack, "without", drivers, seconds)
            show(stack, f"{SLOW} slow, {name}", drivers, seconds, slow_clients(stack, each_tick))


if __name__ == "__main__":
    main(sys.argv[1:])
