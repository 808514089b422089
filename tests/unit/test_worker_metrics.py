"""What a worker counts of its jobs and queues."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import task_postrun, task_prerun

from service.model.errors import Unavailable
from service.observability.instruments import BUSY_SECONDS, JOB_SECONDS, JOB_STATES, JOBS
from service.stores.broker import ROUND_TASK, SWEEP_TASK
from worker import metrics
from worker.metrics import QueueCollector


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """What is called before and after a job; a job takes 1.5 s."""
    instants = iter([10.0, 11.5])
    clock = SimpleNamespace(perf_counter=lambda: next(instants))
    monkeypatch.setattr(metrics, "time", clock)
    signals = (task_prerun, task_postrun)
    before = [list(signal.receivers) for signal in signals]
    metrics._count_jobs()
    try:
        yield tuple(signal.receivers[-1][1] for signal in signals)  # type: ignore[misc]
    finally:
        for signal, receivers in zip(signals, before, strict=True):
            signal.receivers = receivers


@pytest.mark.parametrize(("state", "label"), [("SUCCESS", "SUCCESS"), (None, "UNKNOWN")])
def test_a_job_is_counted_with_its_end_and_its_time(
    hooks: tuple[Any, Any], state: str | None, label: str
) -> None:
    start, end = hooks
    name = f"test.metrics.{label}"
    busy = BUSY_SECONDS._value.get()
    start()
    end(task=SimpleNamespace(name=name), state=state)
    assert JOBS.labels(name, label)._value.get() == 1
    assert JOB_SECONDS.labels(name)._sum.get() == 1.5
    assert BUSY_SECONDS._value.get() - busy == 1.5


@pytest.mark.usefixtures("hooks")
def test_each_end_of_a_job_is_there_before_the_first() -> None:
    """A series that is born with its first event fires no alert."""
    found = {key for key in JOBS._metrics if key[0] in {ROUND_TASK, SWEEP_TASK}}
    assert {(name, state) for name in (ROUND_TASK, SWEEP_TASK) for state in JOB_STATES} <= found


def lengths(queues: object) -> dict[tuple[str, str], float]:
    collector = QueueCollector("redis://127.0.0.1:1")
    collector._queues = queues  # type: ignore[assignment]
    return {
        (sample.name, sample.labels["queue"]): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


def test_waiting_and_taken_jobs_are_told_for_each_queue() -> None:
    found = [SimpleNamespace(name=name, ready=n, unacked=n + 1) for n, name in enumerate("ab", 2)]
    assert lengths(SimpleNamespace(lengths=lambda: found)) == {
        ("wildrydes_queue_jobs", "a"): 2,
        ("wildrydes_queue_jobs", "b"): 3,
        ("wildrydes_unacked_jobs", "a"): 3,
        ("wildrydes_unacked_jobs", "b"): 4,
    }


def test_nothing_is_told_of_queues_while_the_broker_is_down() -> None:
    def away() -> None:
        raise Unavailable("Redis is away")

    assert lengths(SimpleNamespace(lengths=away)) == {}
