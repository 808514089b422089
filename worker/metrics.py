"""A worker's metrics: its jobs, how busy it is, and the length of its queues."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from celery.signals import (
    beat_init,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.model.errors import Unavailable
from service.observability import traces
from service.observability.exposition import BEAT, WORKER, expose, tidy
from service.observability.instruments import (
    BUSY_SECONDS,
    JOB_SECONDS,
    JOB_STATES,
    JOBS,
    POOL_PROCESSES,
)
from service.settings import Settings
from service.stores.broker import ROUND_TASK, SWEEP_TASK, RedisQueues
from service.stores.redis.link import RedisLink, connect

SCRAPE_TIMEOUT_SECONDS: Final = 1.0


class QueueCollector(Collector):
    """Collects the numbers of waiting and running jobs; nothing while the broker is down."""

    def __init__(self, broker_url: str) -> None:
        link = RedisLink(
            connect(broker_url, timeout_seconds=SCRAPE_TIMEOUT_SECONDS, name="wildrydes-worker")
        )
        self._queues = RedisQueues(link)

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "wildrydes_queue_jobs", "Jobs that are waiting in a queue.", labels=["queue"]
        )
        unacked = GaugeMetricFamily(
            "wildrydes_unacked_jobs",
            "Jobs that a worker has taken and not finished.",
            labels=["queue"],
        )
        try:
            lengths = self._queues.lengths()
        except Unavailable:
            return
        for each in lengths:
            waiting.add_metric([each.name], each.ready)
            unacked.add_metric([each.name], each.unacked)
        yield from (waiting, unacked)


def install(settings: Settings) -> None:
    """Count jobs and pool processes, and serve metrics if they are on."""
    _count_jobs()

    def begin_child(**_: Any) -> None:
        tidy()
        POOL_PROCESSES.set(1)
        traces.begin(settings, "worker")

    def end_child(**_: Any) -> None:
        traces.end()

    def listen_as_worker(**_: Any) -> None:
        expose(settings, WORKER, QueueCollector(settings.broker_url))

    def listen_as_beat(**_: Any) -> None:
        expose(settings, BEAT)

    worker_process_init.connect(begin_child, weak=False)
    worker_process_shutdown.connect(end_child, weak=False)
    worker_ready.connect(listen_as_worker, weak=False)
    beat_init.connect(listen_as_beat, weak=False)


def _count_jobs() -> None:
    """Count jobs and their time. One start time is enough: a process runs one job at a time."""
    for name in (ROUND_TASK, SWEEP_TASK):
        for each in JOB_STATES:
            JOBS.labels(name, each)
    began = 0.0

    def start(**_: Any) -> None:
        nonlocal began
        began = time.perf_counter()

    def end(task: Any, state: str | None = None, **_: Any) -> None:
        seconds = time.perf_counter() - began
        JOBS.labels(task.name, state or "UNKNOWN").inc()
        JOB_SECONDS.labels(task.name).observe(seconds)
        BUSY_SECONDS.inc(seconds)

    task_prerun.connect(start, weak=False)
    task_postrun.connect(end, weak=False)
