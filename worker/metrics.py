"""What a worker tells Prometheus: its jobs, how busy it is, how long its queues are."""

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
from service.observability.exposition import BEAT, WORKER, listen, tidy
from service.observability.instruments import BUSY_SECONDS, JOB_STATES, JOBS, POOL_PROCESSES
from service.settings import Settings
from service.stores.broker import ROUND_TASK, SWEEP_TASK, RedisQueues
from service.stores.redis.link import RedisLink, connect

SCRAPE_TIMEOUT_SECONDS: Final = 1.0


class Queues(Collector):
    """How many jobs wait and how many are being worked on; nothing while the broker is away."""

    def __init__(self, broker_url: str) -> None:
        link = RedisLink(
            connect(broker_url, timeout_seconds=SCRAPE_TIMEOUT_SECONDS, name="wildrydes-worker")
        )
        self._queues = RedisQueues(link)

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "wildrydes_queue_jobs", "Jobs that wait in a queue.", labels=["queue"]
        )
        unacked = GaugeMetricFamily(
            "wildrydes_unacked_jobs", "Jobs that were taken and are not done.", labels=["queue"]
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
    """Count jobs and pool processes; listen for Prometheus if that is wanted."""
    _count_jobs()

    def begin_child(**_: Any) -> None:
        tidy()
        POOL_PROCESSES.set(1)
        traces.begin(settings, "worker")

    def end_child(**_: Any) -> None:
        traces.end()

    def listen_as_worker(**_: Any) -> None:
        listen(settings, WORKER, Queues(settings.broker_url))

    def listen_as_beat(**_: Any) -> None:
        listen(settings, BEAT)

    worker_process_init.connect(begin_child, weak=False)
    worker_process_shutdown.connect(end_child, weak=False)
    worker_ready.connect(listen_as_worker, weak=False)
    beat_init.connect(listen_as_beat, weak=False)


def _count_jobs() -> None:
    """A pool process has one job at a time, so the time since one began is the job's."""
    for name in (ROUND_TASK, SWEEP_TASK):
        for each in JOB_STATES:
            JOBS.labels(name, each)
    began = 0.0

    def start(**_: Any) -> None:
        nonlocal began
        began = time.perf_counter()

    def end(task: Any, state: str | None = None, **_: Any) -> None:
        JOBS.labels(task.name, state or "UNKNOWN").inc()
        BUSY_SECONDS.inc(time.perf_counter() - began)

    task_prerun.connect(start, weak=False)
    task_postrun.connect(end, weak=False)
