"""Measures how soon a busy worker resumes after Redis died repeatedly or went silent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.load.chaos.cluster import ForgetfulRedis
from tests.load.chaos.proxy import Remote, running
from tests.load.chaos.timing import quantile
from tests.support import broker_load
from tests.support.infrastructure import MiniStack, free_port, wait_until
from tests.support.stack import Stack

RESTARTS: Final = 25
RESUMES_SECONDS: Final = 5.0
RESUMES_HALF_OPEN_SECONDS: Final = 20.0
PATIENCE_SECONDS: Final = 60.0


def measure(folder: Path) -> tuple[list[str], bool]:
    """Lines to print, and whether the figures are met."""
    with MiniStack(folder / "aws") as aws:
        with one_worker(folder / "restarts", aws) as (worker, redis, _):
            after_restart = sorted(_restart(redis) for _ in range(RESTARTS))
            exits = int(worker.processes["worker"].exit_code is not None)
        with one_worker(folder / "half-open", aws) as (_, redis, proxy):
            proxy.order("half_open")
            half_open = _seconds_until_new_jobs(redis)
    good = (
        not exits
        and after_restart[-1] <= RESUMES_SECONDS
        and half_open <= RESUMES_HALF_OPEN_SECONDS
    )
    return _lines(after_restart, exits, half_open), good


@contextmanager
def one_worker(folder: Path, aws: MiniStack) -> Iterator[tuple[Stack, ForgetfulRedis, Remote]]:
    """A worker behind a proxy, kept busy with jobs that take a while."""
    folder.mkdir(parents=True)
    with ForgetfulRedis(folder / "redis") as redis:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        with (
            running(port, redis.port, folder) as proxy,
            Stack(
                folder,
                aws,
                redis,
                roles=("worker",),
                worker_app="tests.support.slow_worker",
                SLOW_WORKER_SECONDS="0.5",
                REDIS_URL=url,
            ) as stack,
            broker_load.busy(redis),
        ):
            _seconds_until_new_jobs(redis)
            yield stack, redis, proxy


def _restart(redis: ForgetfulRedis) -> float:
    """Kill Redis under load. Returns the seconds from its return until the worker takes jobs."""
    redis.kill()
    redis.start()
    seconds = _seconds_until_new_jobs(redis)
    time.sleep(0.5)
    return seconds


def _seconds_until_new_jobs(redis: ForgetfulRedis) -> float:
    began, earlier = time.monotonic(), broker_load.under_way(redis)
    wait_until(
        lambda: broker_load.under_way(redis) - earlier, "the worker resumes", PATIENCE_SECONDS
    )
    return time.monotonic() - began


def _lines(after_restart: Sequence[float], exits: int, half_open: float) -> list[str]:
    p50 = quantile(after_restart, 0.5)
    return [
        f"one busy worker, Redis killed {len(after_restart)} times: {exits} exits, "
        f"resumes after p50 {p50:.2f}, max {after_restart[-1]:.2f} s "
        f"(allowed {RESUMES_SECONDS:g})",
        f"one busy worker, its links half-open: resumes after {half_open:.1f} s "
        f"(allowed {RESUMES_HALF_OPEN_SECONDS:g})",
    ]
