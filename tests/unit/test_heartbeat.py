"""What a worker's main process says about itself and counts of its jobs."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import heartbeat_sent, worker_ready, worker_shutdown
from celery.worker import state
from celery.worker.request import Request

from service.model.errors import Unavailable
from service.model.operations import Heartbeat, worker_id
from service.observability.instruments import JOBS
from service.settings import Settings
from tests.support.builders import NOW
from worker.heartbeat import CountedRequest, HeartbeatSender, _resident_bytes

TICK = timedelta(milliseconds=1)


class Workers:
    """Remembers heartbeats, or is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.heartbeats: list[Heartbeat] = []
        self.left: list[str] = []

    def note(self, sent: Heartbeat) -> None:
        self._called()
        self.heartbeats.append(sent)

    def leave(self, name: str) -> None:
        self._called()
        self.left.append(name)

    def _called(self) -> None:
        if self.is_away:
            raise Unavailable("Redis is away")


def a_heartbeat(workers: Workers) -> HeartbeatSender:
    settings = Settings(
        aws_region="us-east-1",
        redis_url="redis://127.0.0.1:1/0",
        service_version="1.2.3",
        service_revision="abc",
    )
    made = HeartbeatSender(settings, lambda: NOW)
    made._workers = workers  # type: ignore[assignment]
    return made


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A job of this process; what Celery does with it is left out."""
    monkeypatch.setattr(CountedRequest, "now", lambda: NOW, raising=False)
    monkeypatch.setattr(CountedRequest, "failures", 0)
    monkeypatch.setattr(Request, "on_failure", lambda *_: "of Celery")
    monkeypatch.setattr(Request, "on_timeout", lambda *_: None)
    made = CountedRequest.__new__(CountedRequest)
    made.id, made.name, made._expires = "job-1", "test.heartbeat", None
    yield made
    state.revoked.discard("job-1")


def ended(how: str) -> float:
    counted: float = JOBS.labels("test.heartbeat", how)._value.get()
    return counted


@pytest.mark.parametrize(
    ("expires", "is_expired"), [(None, None), (NOW + TICK, None), (NOW, None), (NOW - TICK, True)]
)
def test_a_job_expires_by_the_services_time(job: Any, expires: Any, is_expired: Any) -> None:
    job._expires = expires
    assert job.maybe_expire() is is_expired
    assert ("job-1" in state.revoked) == bool(is_expired)


@pytest.mark.parametrize(
    ("error", "lost"), [(WorkerLostError, 1), (TimeLimitExceeded, 0), (ValueError, 0)]
)
def test_a_job_that_fails_is_counted_and_one_that_died_with_its_process_as_lost(
    job: Any, error: type[Exception], lost: int
) -> None:
    before = ended("LOST")
    assert job.on_failure(SimpleNamespace(type=error)) == "of Celery"
    assert (CountedRequest.failures, ended("LOST") - before) == (1, lost)


@pytest.mark.parametrize(("is_soft", "timeouts"), [(True, 0), (False, 1)])
def test_only_a_job_that_is_ended_by_the_hard_limit_is_counted_here(
    job: Any, is_soft: bool, timeouts: int
) -> None:
    before = ended("TIMEOUT")
    job.on_timeout(is_soft, 20)
    assert ended("TIMEOUT") - before == timeouts


@pytest.mark.usefixtures("job")
def test_a_heartbeat_counts_jobs_and_the_memory_of_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "active_requests", {"job-2", "job-3"})
    monkeypatch.setattr(state, "all_total_count", [10])
    monkeypatch.setattr(CountedRequest, "failures", 3)
    workers = Workers()
    heartbeat = a_heartbeat(workers)
    heartbeat._send()
    heartbeat._begin(SimpleNamespace(pool=SimpleNamespace(info={"processes": [os.getpid()]})))
    heartbeat._send()
    alone, both = workers.heartbeats
    assert (alone.active, alone.failed, alone.done) == (2, 3, 5)
    assert (alone.version, alone.revision, alone.pid) == ("1.2.3", "abc", os.getpid())
    assert alone.started_at == alone.beat_at == NOW
    assert both.memory_bytes == pytest.approx(2 * alone.memory_bytes, rel=0.2)
    monkeypatch.setattr(state, "all_total_count", [4])
    heartbeat._send()
    assert workers.heartbeats[-1].done == 0


def test_the_memory_of_a_process_is_what_is_resident() -> None:
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    resident = 1024 * int(line.split()[1])
    assert _resident_bytes([os.getpid()]) == pytest.approx(resident, rel=0.2)
    assert _resident_bytes([2**30]) == 0


def test_a_worker_says_that_it_leaves_once_and_a_redis_that_is_away_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workers = Workers()
    heartbeat = a_heartbeat(workers)
    heartbeat._end()
    assert workers.left == [worker_id(socket.gethostname(), os.getpid())]
    away = a_heartbeat(Workers(is_away=True))
    with caplog.at_level(logging.INFO):
        away._send()
        away._end()
    (record,) = (each for each in caplog.records if each.name == "worker.heartbeat")
    assert (record.getMessage(), vars(record)["cause"]) == ("heartbeat not stored", "Redis is away")


def test_celery_keeps_what_it_calls() -> None:
    heartbeat = a_heartbeat(Workers())
    signals = (worker_ready, heartbeat_sent, worker_shutdown)
    before = [list(signal.receivers) for signal in signals]
    try:
        heartbeat.install()
        kept = [
            receiver
            for signal, earlier in zip(signals, before, strict=True)
            for _, receiver in signal.receivers[len(earlier) :]
        ]
        assert kept == [heartbeat._begin, heartbeat._send, heartbeat._end]
    finally:
        for signal, earlier in zip(signals, before, strict=True):
            signal.receivers = earlier
