"""A job that ends with its pool process is counted; its series begins at 0."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path

import redis
import urllib3

from service.stores.broker import CeleryRoundQueue
from service.stores.redis import keys
from tests.support.infrastructure import MiniStack, RedisServer, free_port, wait_until
from tests.support.stack import Stack

HARD_LIMIT_SECONDS = 20
ROUND = 'wildrydes_jobs_total{{state="{}",task="dispatch.round"}}'


def counted(port: int) -> Mapping[str, float]:
    """What a scrape of the worker finds."""
    answer = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics", timeout=5, retries=False)
    lines = [line.rpartition(" ") for line in answer.data.decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def pool_processes(stack: Stack) -> list[int]:
    main = stack.processes["worker"].pid
    return [int(pid) for pid in Path(f"/proc/{main}/task/{main}/children").read_text().split()]


def test_killed_and_timed_out_jobs_are_counted(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    port = free_port() - 1
    with Stack(
        tmp_path,
        ministack,
        redis_server,
        roles=("worker",),
        worker_app="tests.support.slow_worker",
        SLOW_WORKER_SECONDS="60",
        METRICS_PORT=str(port),
    ) as stack:
        before = counted(port + 1)
        assert [before[ROUND.format(state)] for state in ("FAILURE", "LOST", "TIMEOUT")] == [0] * 3
        queue = CeleryRoundQueue(redis_server.url, timeout_seconds=2)
        zones = [uuid.uuid4().hex for _ in range(2)]
        for zone in zones:
            queue.publish(zone, "load")
        with redis.Redis.from_url(redis_server.url) as client:
            wait_until(lambda: client.exists(*map(keys.lease, zones)) == 2, "two jobs under way")
        killed, stopped = pool_processes(stack)
        # One that hears no soft time limit is ended by the hard one.
        os.kill(stopped, signal.SIGSTOP)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: counted(port + 1)[ROUND.format("LOST")] == 1, "a lost job")
        wait_until(
            lambda: counted(port + 1)[ROUND.format("TIMEOUT")] == 1,
            "a job out of time",
            HARD_LIMIT_SECONDS + 20,
        )
        assert counted(port + 1)[ROUND.format("LOST")] == 1
