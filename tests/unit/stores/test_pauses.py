"""Each process keeps a copy of the pause, which it reads in the background."""

from __future__ import annotations

import threading

import pytest

from service.model.errors import Unavailable
from service.model.operations import Pause
from service.stores import pauses as pauses_module
from service.stores.pauses import KnownPauses
from tests.support.fakes_oversight import FakePauses
from tests.support.infrastructure import wait_until


class Stored(FakePauses):
    """Counts its readers' threads, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[str] = []
        self.is_away = False

    def current(self) -> Pause:
        self.readers.append(threading.current_thread().name)
        if self.is_away:
            raise Unavailable("away")
        return super().current()


@pytest.fixture
def stored() -> Stored:
    return Stored()


def test_asking_whether_dispatch_is_paused_reads_nothing(stored: Stored) -> None:
    pauses = KnownPauses(stored)
    assert [pauses.current() for _ in range(100)] == [Pause()] * 100
    assert stored.readers == []


def test_a_change_holds_in_this_process_at_once_and_elsewhere_after_the_next_read(
    stored: Stored,
) -> None:
    here, there = KnownPauses(stored), KnownPauses(stored)
    here.put("a", True)
    assert here.current() == Pause(zones=frozenset("a"))
    assert there.current() == Pause()
    there.refresh()
    assert there.current() == Pause(zones=frozenset("a"))


def test_the_pause_is_read_once_a_second() -> None:
    assert pauses_module.READ_EVERY_SECONDS == 1.0


def test_the_last_copy_holds_while_the_pause_cannot_be_read(stored: Stored) -> None:
    pauses = KnownPauses(stored)
    pauses.put(None, True)
    stored.is_away = True
    with pytest.raises(Unavailable):
        pauses.refresh()
    assert pauses.current() == Pause(True)


def test_a_read_that_began_before_a_change_is_dropped(stored: Stored) -> None:
    class Slow(Stored):
        def current(self) -> Pause:
            before = super().current()
            pauses.put("a", True)
            return before

    pauses = KnownPauses(Slow())
    pauses.refresh()
    assert pauses.current() == Pause(zones=frozenset("a"))


def test_a_process_that_starts_knows_the_pause_and_reads_it_in_a_thread_of_its_own(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses_module, "READ_EVERY_SECONDS", 0.01)
    stored.put(None, True)
    pauses = KnownPauses(stored).start()
    try:
        assert pauses.current() == Pause(True)
        stored.is_away = True
        wait_until(lambda: len(stored.readers) > 5, "further reads although they fail")
        stored.is_away = False
        stored.put(None, False)
        wait_until(lambda: pauses.current() == Pause(), "the end of the pause")
    finally:
        pauses.close()
    assert set(stored.readers) == {"reading the pause"}
