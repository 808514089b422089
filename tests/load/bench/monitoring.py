"""Measures the cost of monitoring: CPU per request with metrics and traces, CPU per job with
events.

Three API processes on the stores of one stack take turns: one without metrics, one that counts for
Prometheus, one that traces every request. Then one worker runs with and without the task events
that a monitor turns on.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack

from celery import Celery
from redis import Redis

from service.stores.broker import DISPATCH_QUEUE, KEY_PREFIX, ROUND_TASK, broker_options
from tests.load.bench.processes import cpu_seconds
from tests.load.bench.requests import burst
from tests.load.bench.stage import served, stage
from tests.support.infrastructure import free_port, wait_until
from tests.support.otlp_server import Collector
from tests.support.stack import Stack

TURNS = 9
JOBS = 500


def compare_requests(stack: Stack, collector: Collector) -> None:
    variants: Mapping[str, Mapping[str, str]] = {
        "nobody watches": {},
        "metrics": {"METRICS_PORT": str(free_port())},
        "traces": {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
    }
    token = stack.rider_token("bench")
    with ExitStack() as running:
        servers = {
            name: running.enter_context(served(stack, name.replace(" ", "-"), **settings))
            for name, settings in variants.items()
        }
        turns = [
            {n: burst(port, token, pid).cpu_per_request for n, (port, pid) in servers.items()}
            for _ in range(TURNS + 1)
        ][1:]
    for name in variants:
        cpu = statistics.median(turn[name] for turn in turns)
        ratio = statistics.median(turn[name] / turn["nobody watches"] for turn in turns)
        print(f"POST /v1/rides, {name:<28} {1e3 * cpu:.2f} ms  {ratio:.3f}", flush=True)


def cpu_per_job(stack: Stack, producer: Celery) -> float:
    """CPU seconds of the worker per job that finds nothing to do."""
    worker = stack.processes["worker"].pid
    with Redis.from_url(stack.redis.url) as client:
        before = cpu_seconds(worker)
        for _ in range(JOBS):
            producer.send_task(ROUND_TASK, args=("8a2a1072b59ffff", ""), queue=DISPATCH_QUEUE)
        wait_until(
            lambda: (
                not client.llen(f"{KEY_PREFIX}{DISPATCH_QUEUE}")
                and not client.hlen(f"{KEY_PREFIX}unacked")
            ),
            "the end of the jobs",
            120,
        )
        return (cpu_seconds(worker) - before) / JOBS


def compare_jobs(stack: Stack) -> None:
    producer = Celery("bench", broker=stack.redis.url, set_as_current=False)
    producer.conf.update(
        broker_transport_options=broker_options(timeout_seconds=2), task_ignore_result=True
    )
    turns = []
    for _ in range(4):
        producer.control.broadcast("disable_events", reply=True)
        off = cpu_per_job(stack, producer)
        producer.control.broadcast("enable_events", reply=True)
        turns.append((off, cpu_per_job(stack, producer)))
    off, on = (statistics.median(each) for each in zip(*turns[1:], strict=True))
    print(f"a job, no task events               {1e3 * off:.2f} ms  1")
    print(f"a job, task events for a monitor    {1e3 * on:.2f} ms  {on / off:.3f}", flush=True)


def main() -> None:
    if not sys.platform.startswith("linux"):
        print("skipped: CPU of processes is read from /proc")
        return
    limits = {"RATE_LIMIT_SUBJECT": "1000000/minute"}
    with Collector() as collector, stage(roles=("worker",), **limits) as stack:
        compare_jobs(stack)
        # The rides of the requests are for nobody: rounds of thousands would take the CPU.
        stack.kill("worker")
        compare_requests(stack, collector)


if __name__ == "__main__":
    main()
