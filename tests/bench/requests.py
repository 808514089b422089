"""`POST /v1/rides` and the way to a match, each beside the least that could do the job.

    python -m tests.bench.requests

(a) CPU per request of the API process under load, against a floor application on the same server
    settings (`tests/bench/floor.py`); interleaved rounds, median of the rounds' ratios.
(b) Committed put to committed claim, idle and at half load, against a no-op job's publish to start
    plus one transaction.

Rates are wall-clock on a shared machine with an emulated database: read the ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import redis as redis_client

from service.local.processes import Process, Program
from tests.bench.processes import cpu_seconds, memory_pss_megabytes
from tests.infrastructure import PROJECT, MiniStack, RedisServer, free_port, wait_until
from tests.stack import Stack

BODY = b'{"pickup":{"latitude":40.7128,"longitude":-74.0060},"note":"by the fountain"}'
CLIENTS = 8
REQUESTS = 400
ROUNDS = 7
SAMPLES = 200


@dataclass(frozen=True)
class Load:
    """What one burst of requests cost."""

    per_second: float
    cpu_per_request: float


def burst(port: int, token: str, pid: int, requests: int = REQUESTS) -> Load:
    """`requests` posts over `CLIENTS` kept-alive connections."""

    def client(_: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for _ in range(requests // CLIENTS):
            connection.request("POST", "/v1/rides", BODY, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
        connection.close()

    cpu, start = cpu_seconds(pid), time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    took = time.monotonic() - start
    return Load(requests / took, (cpu_seconds(pid) - cpu) / requests)


def compare_requests(stack: Stack, floor_port: int, floor: Process) -> None:
    token = stack.mint.rider_token()
    ours, theirs = [], []
    for round_number in range(ROUNDS + 1):
        mine = burst(stack.port, token, stack.processes["web"].pid)
        reference = burst(floor_port, token, floor.pid)
        if round_number:  # the first one warms both up
            ours.append(mine)
            theirs.append(reference)
    ratios = [a.cpu_per_request / b.cpu_per_request for a, b in zip(ours, theirs, strict=True)]
    row(
        "POST /v1/rides, CPU per request",
        f"{1e3 * statistics.median(load.cpu_per_request for load in ours):.2f} ms",
        f"{1e3 * statistics.median(load.cpu_per_request for load in theirs):.2f} ms (floor)",
        f"{statistics.median(ratios):.2f}",
    )
    row(
        "POST /v1/rides, requests per second",
        f"{statistics.median(load.per_second for load in ours):.0f}",
        f"{statistics.median(load.per_second for load in theirs):.0f} (floor)",
        "",
    )


def row(figure: str, ours: str, reference: str, ratio: str) -> None:
    print(f"{figure:<46} {ours:>18} {reference:>26} {ratio:>7}", flush=True)
