"""A worker and beat show that they live, also while they wait for their broker."""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import Scheduler, SchedulingError

from service.observability.instruments import BEAT_TICKED
from tests.support.infrastructure import PROJECT
from worker import liveness


@pytest.fixture(autouse=True)
def _own_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's logger may be configured by another test."""
    monkeypatch.setattr(liveness, "logger", logging.getLogger("tests.liveness"))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    liveness._tell.cache_clear()
    liveness.keep(str(tmp_path / "alive"))
    yield tmp_path / "alive"
    liveness.keep("")


class Timer:
    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_repeatedly(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((seconds, call))


def test_the_loop_touches_its_file_at_once_and_many_times_before_it_counts_as_dead(
    file: Path,
) -> None:
    timer = Timer()
    liveness.LoopStep(SimpleNamespace()).start(SimpleNamespace(timer=timer))
    assert file.exists()
    ((every, call),) = timer.calls
    assert call is liveness.touch
    (dead_after,) = re.findall(r"(\d+) seconds ago", (PROJECT / "docker/alive").read_text())
    assert 1 <= every <= int(dead_after) / 10


def test_without_a_file_nothing_is_touched_and_a_failure_is_logged_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    liveness.keep("")
    liveness.touch()
    liveness.keep(str(file.parent / "missing" / "alive"))
    liveness.touch()
    liveness.touch()
    assert not file.exists()
    assert len(caplog.records) == 1


class Connection:
    """A broker that answers at the third attempt."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def ensure_connection(self, *_: object, callback: Callable[[], None], **options: Any) -> str:
        self.options = options
        for _ in range(2):
            callback()
        return "connected"


def test_a_process_that_waits_for_its_broker_lives_and_tries_every_second() -> None:
    lives, others = list[int](), list[int]()
    broker = Connection()
    connection = liveness._while_waiting(broker, lambda: lives.append(1))
    assert len(lives) == 1
    assert connection.ensure_connection(max_retries=None) == "connected"
    assert connection.ensure_connection(callback=lambda: others.append(1)) == "connected"
    assert (len(lives), len(others)) == (5, 2)
    assert broker.options == {"interval_start": 1, "interval_step": 0, "interval_max": 1}


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> liveness.PatientScheduler:
    """Beat's scheduler without what Celery does in it."""
    monkeypatch.setattr(Scheduler, "tick", lambda *_: 1)
    return liveness.PatientScheduler.__new__(liveness.PatientScheduler)


def test_beat_touches_its_file_and_says_when_at_each_tick(
    file: Path, beat: liveness.PatientScheduler
) -> None:
    before = time.time()
    assert beat.tick() == 1
    assert file.exists()
    assert before <= BEAT_TICKED._value.get() <= time.time()


def test_sigterm_ends_beat_at_its_next_tick(
    file: Path, beat: liveness.PatientScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    liveness.end_between_ticks(SimpleNamespace(scheduler=beat))
    beat.tick()
    handlers[signal.SIGTERM](signal.SIGTERM, None)
    file.unlink()
    with pytest.raises(SystemExit):
        beat.tick()
    assert not file.exists()


def test_a_job_that_beat_cannot_publish_is_one_line_with_its_cause(
    beat: liveness.PatientScheduler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options: dict[str, Any] = {}

    def fail(_entry: object, **given: Any) -> None:
        options.update(given)
        try:
            raise ConnectionError("refused")
        except ConnectionError:
            raise SchedulingError("not sent")  # noqa: B904 - as Celery does

    monkeypatch.setattr(beat, "apply_async", fail, raising=False)
    beat.apply_entry("entry", producer="producer")
    assert options == {"producer": "producer", "advance": False}
    (record,) = caplog.records
    assert record.getMessage() == "job not published: refused"
    assert record.exc_info is None
