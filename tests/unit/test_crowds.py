"""A web process serves a crowd's requests one at a time, after those of all others."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest
from gevent.socket import wait_read

from service.entrypoints import crowds
from service.entrypoints.crowds import CROWD, Crowds


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """An event loop of the test's own."""
    yield
    gevent.get_hub().destroy(destroy_loop=True)


@pytest.fixture
def crowd() -> Iterator[Crowds]:
    """`a` has a crowd."""
    made = Crowds()
    with ExitStack() as held:
        for _ in range(CROWD + 1):
            held.enter_context(made.counted("a"))
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_crowd_waits_while_another_client_is_ready(
    crowd: Crowds, pair: tuple[socket.socket, socket.socket]
) -> None:
    order: list[str] = []
    ours, theirs = pair

    def of_crowd() -> None:
        crowd.take_turn("a")
        order.append("crowd")
        # Makes somebody else ready.
        theirs.send(b"x")

    def another() -> None:
        for _ in range(5):
            wait_read(ours.fileno())
            ours.recv(1)
            order.append("another")

    theirs.send(b"x")
    started = [gevent.spawn(of_crowd) for _ in range(4)]
    gevent.joinall([*started, gevent.spawn(another)], timeout=30, raise_error=True)
    assert order == ["another", "crowd"] * 4 + ["another"]


def test_an_address_without_a_crowd_does_not_wait(crowd: Crowds) -> None:
    order: list[str] = []
    gevent.spawn(order.append, "another")
    with crowd.counted("b"):
        crowd.take_turn("b")
    order.append("first")
    gevent.sleep(0)
    assert order == ["first", "another"]


def test_a_crowd_is_served_by_a_process_that_is_never_idle(
    crowd: Crowds, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "PATIENCE_SECONDS", 0.02)
    ours, theirs = pair
    theirs.send(b"x")
    always_ready = gevent.get_hub().loop.io(ours.fileno(), 1)
    always_ready.start(lambda: None)
    served = gevent.spawn(crowd.take_turn, "a")
    served.join(timeout=30)
    always_ready.stop()
    always_ready.close()
    assert served.successful()


def test_an_address_with_too_many_connections_is_refused_and_later_forgotten() -> None:
    made = Crowds()
    with made.counted("a", 1), pytest.raises(ConnectionRefusedError), made.counted("a", 1):
        pass
    with made.counted("a", 1):
        assert [*made.addresses] == ["a"]
    assert made.addresses == {}


@pytest.mark.parametrize(("others", "pauses"), [(True, 3), (False, 0)])
def test_a_crowd_makes_pauses_only_for_others(
    crowd: Crowds, monkeypatch: pytest.MonkeyPatch, others: bool, pauses: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("gevent.sleep", slept.append)
    monkeypatch.setattr(crowds, "PAUSE_SECONDS", 30)
    monkeypatch.setattr(crowds, "OTHERS_SECONDS", 60)
    with crowd.counted("b"):
        if others:
            crowd.take_turn("b")
        for _ in range(3):
            crowd.take_turn("a")
    assert len(slept) == pauses
    assert not slept or slept[0] == 0 < slept[1] <= 30


def test_one_crowd_does_not_wait_for_another(crowd: Crowds) -> None:
    with ExitStack() as held:
        for _ in range(CROWD + 1):
            held.enter_context(crowd.counted("b"))
        with crowd.addresses["a"].turn, gevent.Timeout(30):
            crowd.take_turn("b")
        assert crowd.addresses["b"].next_at > 0
