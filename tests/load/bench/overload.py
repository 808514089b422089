"""Sends more requests than one process can serve: `python -m tests.load.bench.overload [--seconds
60]`.

A real web process runs on real stores. Each client requests the next ride as soon as the last
request is answered; first there are as many clients as the process can serve, then many times more.
The clients and an emulated database share the machine, so the rates themselves mean little. The run
shows whether accepted requests stay fast, whether memory stays bounded, and whether everything is
as before afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from tests.load.bench.processes import memory_pss_megabytes
from tests.load.bench.stage import stage
from tests.support.pressure import Pressure
from tests.support.stack import Stack

FEW, MANY = 4, 400


def pressed(
    stack: Stack, clients: int, seconds: float, each_second: Callable[[], None]
) -> Pressure:
    tokens = [stack.rider_token(f"rider-{number}") for number in range(clients)]
    with Pressure([stack.port], tokens) as load:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(1)
            each_second()
    return load


def show(name: str, load: Pressure, seconds: float) -> None:
    accepted = [told.seconds for told in load.answers if told.status == 202]
    refused = [told.seconds for told in load.answers if told.status == 503]
    other = set(load.statuses()) - {202, 503}
    print(
        f"{name:<10} accepted {len(accepted) / seconds:5.0f}/s"
        f"  refused {len(refused) / seconds:5.0f}/s"
        f"  accepted p50 {1e3 * statistics.median(accepted):4.0f} ms"
        f"  p99 {1e3 * np.quantile(accepted, 0.99):4.0f} ms"
        f"  refused p99 {1e3 * np.quantile(refused or [0.0], 0.99):4.0f} ms"
        f"  broken connections {len(load.errors)}  other answers {sorted(other) or 'none'}",
        flush=True,
    )


def plain_seconds(stack: Stack) -> float:
    """The seconds of one small request."""
    token, start = stack.rider_token("plain"), time.monotonic()
    assert stack.call("GET", "/v1/rides?limit=1", token=token).status in {200, 503}
    return time.monotonic() - start


def recovery(stack: Stack, usual: float) -> float:
    """Seconds until three plain requests in a row take at most twice as long as usual."""
    start, quick = time.monotonic(), 0
    while quick < 3:
        quick = quick + 1 if plain_seconds(stack) <= 2 * usual else 0
    return time.monotonic() - start


def measure(stack: Stack, seconds: float) -> None:
    def memory() -> float:
        return memory_pss_megabytes(stack.processes["web"].pid)

    show("as usual", pressed(stack, FEW, 10, lambda: None), 10)
    usual = statistics.median(plain_seconds(stack) for _ in range(20))
    before, peaks = memory(), [0.0]
    load = pressed(stack, MANY, seconds, lambda: peaks.append(memory()))
    show("overload", load, seconds)
    back = recovery(stack, usual)
    print(
        f"memory {before:.0f} MB before, {max(peaks):.0f} MB at most, {memory():.0f} MB after (PSS)"
    )
    print(f"a plain request: usually {1e3 * usual:.1f} ms; again so after {back:.2f} s")


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args(arguments).seconds
    if not sys.platform.startswith("linux"):
        print("skipped: memory of processes is read from /proc")
        return
    with stage(roles=("web",), RATE_LIMIT_ENABLED="false") as stack:
        measure(stack, seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
