"""Work that is repeated in the background survives whatever it raises."""

from __future__ import annotations

import inspect
import logging
import threading
from pkgutil import resolve_name

import pytest

from service.background import Repeated
from service.breaker import Breaker
from tests.support.infrastructure import PROJECT, wait_until


def test_work_is_repeated_after_any_exception_and_failures_in_a_row_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        if len(runs) in {2, 3, 4}:
            raise ValueError("no" * 200)

    repeated = Repeated("counting", work, 0.005)
    with caplog.at_level(logging.WARNING):
        repeated.start()
        wait_until(lambda: len(runs) > 6, "runs after the failures")
        repeated.close()
    (record,) = caplog.records
    assert record.getMessage() == "counting failed"
    assert vars(record)["cause"] == repr(ValueError("no" * 200))[:200]


THREADS = (
    "service.auth.refresher:Refresher.start",
    "service.background:Repeated.__init__",
    "service.hearing:HearingReports.begin",
    "service.observability.exposition:serve",
    "service.stores.redis.changes:RedisChanges.on",
    "service.stores.redis.leases:Lease.__init__",
)
"""What begins a thread."""


def test_no_thread_keeps_its_process_from_ending() -> None:
    for name in THREADS:
        source = inspect.getsource(resolve_name(name))
        assert source.count("Thread(") == source.count("daemon=True") == 1, name
    files = [*PROJECT.glob("service/**/*.py"), *PROJECT.glob("worker/*.py")]
    texts = [file.read_text() for file in files if "local" not in file.parts]
    assert sum(text.count("threading.Thread(") for text in texts) == len(THREADS)


def test_hurry_runs_the_work_at_once() -> None:
    runs: list[int] = []
    repeated = Repeated("counting", lambda: runs.append(1), 3600)
    repeated.start(first_within=10)
    assert len(runs) == 1
    repeated.hurry()
    wait_until(lambda: len(runs) == 2, "the second run")
    repeated.close()


def test_starting_waits_for_the_first_run_no_longer_than_asked() -> None:
    end = threading.Event()
    repeated = Repeated("waiting", lambda: end.wait(10), 3600)
    repeated.start(first_within=0.01)
    end.set()
    repeated.close()
    assert end.is_set()


def test_a_breaker_is_open_for_its_time_after_each_failure() -> None:
    clock = [5.0]
    breaker = Breaker(1.0, lambda: clock[0])
    assert not breaker.is_open
    breaker.trip()
    assert breaker.is_open
    clock[0] = 5.9
    breaker.trip()
    clock[0] = 6.5
    assert breaker.is_open
    clock[0] = 6.9
    assert not breaker.is_open


def test_a_close_just_before_a_run_ends_the_thread_at_once() -> None:
    repeated = Repeated("counting", lambda: None, 3600)
    closing = threading.Thread(target=repeated.close, daemon=True)

    class ClosedMeanwhile(threading.Event):
        def clear(self) -> None:
            if not closing.is_alive():
                closing.start()
                self.wait()
            super().clear()

    repeated._hurried = ClosedMeanwhile()
    repeated.start()
    repeated._thread.join(60)
    assert not repeated._thread.is_alive()
    closing.join()
