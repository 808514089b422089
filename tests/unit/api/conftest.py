"""The application on fakes; see `tests.support.api`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.api import Api, build_api
from tests.support.fakes_redis import FakeChanges, FakeListener

WhileWaiting = Callable[[Callable[[], object]], list[float]]


@pytest.fixture
def api() -> Api:
    return build_api()


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> WhileWaiting:
    """Has something done when a request begins to wait; returns the waits, in seconds."""

    def during(act: Callable[[], object]) -> list[float]:
        waits: list[float] = []

        class Listener(FakeListener):
            has_acted = False

            def wait(self, seconds: float) -> bool:
                waits.append(seconds)
                if not self.has_acted:
                    self.has_acted = True
                    act()
                return True

        @contextmanager
        def listen(_: FakeChanges, topic: str) -> Iterator[FakeListener]:
            yield Listener()

        monkeypatch.setattr(FakeChanges, "listen", listen)
        return waits

    return during
