"""A process says that it listens, whatever happens to it saying so."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from service.listening import start_listening
from service.model.errors import Unavailable
from tests.support.builders import NOW
from tests.support.fakes_redis import FakeFleetIndex


class Listening(FakeFleetIndex):
    """Fails as told, in order; `enough` is set when it was told more often than that."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.told: list[datetime] = []
        self.enough = threading.Event()

    def listen(self, now: datetime) -> None:
        self.told.append(now)
        if self.failures:
            raise self.failures.pop()
        self.enough.set()


@pytest.mark.parametrize("failure", [Unavailable("away"), ValueError("a defect")])
def test_a_failure_does_not_end_it(failure: Exception) -> None:
    fleet = Listening(failure)
    stop = start_listening(fleet, timedelta(seconds=0.1), lambda: NOW)
    assert fleet.enough.wait(20)
    stop()
    assert set(fleet.told) == {NOW}
