"""A worker outlives its broker."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from service.stores.broker import CeleryRoundQueue
from tests.support import broker_load
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

RESTARTS = 4


def test_a_busy_worker_survives_restarts_of_redis(tmp_path: Path, ministack: MiniStack) -> None:
    with (
        RedisServer(tmp_path / "redis") as redis,
        Stack(
            tmp_path,
            ministack,
            redis,
            roles=("worker", "beat"),
            # Jobs that are under way when the connection breaks, and end when it is closed.
            worker_app="tests.support.slow_worker",
        ) as stack,
    ):
        worker = stack.processes["worker"]
        with broker_load.busy(redis):
            for _ in range(RESTARTS):
                earlier = broker_load.under_way(redis)
                wait_until(
                    lambda e=earlier: len(broker_load.under_way(redis) - e) >= 2, "new jobs run"
                )
                redis.kill()
                time.sleep(0.3)
                redis.start()
                assert worker.exit_code is None, worker.last_lines()
        assert worker.exit_code is None, worker.last_lines()
        broker_load.drop_waiting(redis)  # the backlog of slow jobs is not what this is about
        CeleryRoundQueue(redis.url, timeout_seconds=1).publish(uuid.uuid4().hex, "last")
        wait_until(lambda: broker_load.waiting(redis) == 0, "the worker takes jobs again")
