"""How often a ride that is followed is read, by the clock of the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from service.core import watch
from service.core.watch import LIVE_SECONDS, REREAD_SECONDS, Wait, follow_ride
from service.model import Ride
from tests.support.builders import NOW, a_ride


class Followed:
    """A ride that is announced every `every` seconds, and read at most `most` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, every: float, most: int) -> None:
        self.clock, self._every, self._most = 0.0, every, most
        self.waits: list[float] = []
        self.live: list[float] = []
        self.reads: list[float] = []
        monkeypatch.setattr(watch, "own_ride", self._read)
        monkeypatch.setattr(watch, "live_view", self._live)
        ports: Any = SimpleNamespace(changes=self)
        now, monotonic = (lambda: NOW), (lambda: self.clock)
        wait = self._wait = Wait()
        for _ in follow_ride(ports, None, "ride-1", "rider-1", now, monotonic, wait):  # type: ignore[arg-type]
            pass

    @contextmanager
    def listen(self, _topic: str) -> Iterator[Followed]:
        yield self

    def wake(self) -> None:
        pass

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.clock += min(seconds, self._every)
        return seconds >= self._every

    def _read(self, *_: object) -> Ride:
        self.reads.append(self.clock)
        if len(self.reads) == self._most:
            self._wait.end("enough")
            self.clock += 1000
        return replace(a_ride(), version=len(self.reads))

    def _live(self, *_: object) -> float:
        self.live.append(self.clock)
        return self.clock


def test_each_announcement_is_read_and_what_changes_by_itself_only_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ride = Followed(monkeypatch, every=0.5, most=11)
    assert ride.reads == [n / 2 for n in range(11)]
    assert ride.live[:3] == [0, LIVE_SECONDS, 2 * LIVE_SECONDS]
    assert ride.waits[0] == LIVE_SECONDS


def test_without_announcements_the_ride_is_read_again_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ride = Followed(monkeypatch, every=100, most=4)
    assert ride.reads == [n * REREAD_SECONDS for n in range(4)]
    assert ride.live[:8] == [n * LIVE_SECONDS for n in range(8)]
