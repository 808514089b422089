"""Each process keeps a copy of the pause, which it reads in the background."""

from __future__ import annotations

import threading

import pytest

from service.model.errors import Unavailable
from service.model.operations import DispatchState
from service.stores import control as control_module
from service.stores.control import KnownControl
from tests.support.fakes_oversight import FakeControl
from tests.support.infrastructure import wait_until


class Stored(FakeControl):
    """Counts its readers' threads, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[str] = []
        self.is_away = False

    def current(self) -> DispatchState:
        self.readers.append(threading.current_thread().name)
        if self.is_away:
            raise Unavailable("away")
        return super().current()


@pytest.fixture
def stored() -> Stored:
    return Stored()


def test_asking_whether_dispatch_is_paused_reads_nothing(stored: Stored) -> None:
    control = KnownControl(stored)
    assert [control.current() for _ in range(100)] == [DispatchState()] * 100
    assert stored.readers == []


def test_a_change_holds_in_this_process_at_once_and_elsewhere_after_the_next_read(
    stored: Stored,
) -> None:
    here, there = KnownControl(stored), KnownControl(stored)
    here.set_paused("a", True)
    assert here.current() == DispatchState(zones=frozenset("a"))
    assert there.current() == DispatchState()
    there.refresh()
    assert there.current() == DispatchState(zones=frozenset("a"))


def test_the_pause_is_read_once_a_second() -> None:
    assert control_module.READ_EVERY_SECONDS == 1.0


def test_the_last_copy_holds_while_the_pause_cannot_be_read(stored: Stored) -> None:
    control = KnownControl(stored)
    control.set_paused(None, True)
    stored.is_away = True
    with pytest.raises(Unavailable):
        control.refresh()
    assert control.current() == DispatchState(True)


def test_a_read_that_began_before_a_change_is_dropped(stored: Stored) -> None:
    class Slow(Stored):
        def current(self) -> DispatchState:
            before = super().current()
            control.set_paused("a", True)
            return before

    control = KnownControl(Slow())
    control.refresh()
    assert control.current() == DispatchState(zones=frozenset("a"))


def test_a_process_that_starts_knows_the_pause_and_reads_it_in_a_thread_of_its_own(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "READ_EVERY_SECONDS", 0.01)
    stored.set_paused(None, True)
    control = KnownControl(stored).start()
    try:
        assert control.current() == DispatchState(True)
        stored.is_away = True
        wait_until(lambda: len(stored.readers) > 5, "further reads although they fail")
        stored.is_away = False
        stored.set_paused(None, False)
        wait_until(lambda: control.current() == DispatchState(), "the end of the pause")
    finally:
        control.close()
    assert set(stored.readers) == {"reading the state of dispatch"}
