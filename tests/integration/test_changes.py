"""Announcements reach those who wait, through one connection, and again after Redis was away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import pytest
from redis.client import PubSub

from service.model.errors import Unavailable
from service.stores.redis.changes import RedisChanges
from service.stores.redis.link import RedisLink, connect
from tests.load.chaos.proxy import running
from tests.support.infrastructure import RedisServer, free_port, wait_until

SUBSCRIBING: Final = ("subscribe", "psubscribe", "unsubscribe", "punsubscribe")


@contextmanager
def changes_on(server: RedisServer) -> Iterator[RedisChanges]:
    changes = RedisChanges(
        RedisLink(connect(server.url, timeout_seconds=0.5)),
        connect(server.url, timeout_seconds=0.5),
    )
    try:
        yield changes
    finally:
        changes.close()


@pytest.fixture
def changes(redis_server: RedisServer) -> Iterator[RedisChanges]:
    with changes_on(redis_server) as changes:
        yield changes


def test_a_waiter_is_woken_by_its_topic_only(changes: RedisChanges) -> None:
    with changes.listen("ride:1") as one, changes.listen("ride:2") as two:
        changes.announce("ride:1", "ride:3")
        assert one.wait(5)
        assert not two.wait(0.05)


def test_a_waiter_hears_what_is_announced_right_after_it_listens(
    changes: RedisChanges, redis_server: RedisServer
) -> None:
    with changes_on(redis_server) as speaker:
        for number in range(50):
            with changes.listen(f"ride:{number}") as listener:
                speaker.announce(f"ride:{number}")
                assert listener.wait(5)


def test_a_waiter_that_stops_listening_leaves_the_others_listening(changes: RedisChanges) -> None:
    with changes.listen("ride:1") as stays:
        with changes.listen("ride:1"):
            pass
        changes.announce("ride:1")
        assert stays.wait(5)
    assert changes._calls == {}


def test_many_waiters_share_one_connection(
    changes: RedisChanges, redis_server: RedisServer
) -> None:
    heard: list[bool] = []
    listening = threading.Barrier(51)

    def wait(number: int) -> None:
        with changes.listen(f"ride:{number % 25}") as listener:
            listening.wait(10)
            heard.append(listener.wait(10))

    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(wait, number) for number in range(50)]
        listening.wait(10)
        client = connect(redis_server.url, timeout_seconds=2)
        subscribed = [c for c in client.client_list() if int(c["sub"]) > 0]
        assert len(subscribed) == 1
        changes.announce(*(f"ride:{number}" for number in range(25)))
        for future in futures:
            future.result()
    assert heard == [True] * 50


def test_waiters_hear_again_after_redis_was_away(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path) as server,
        changes_on(server) as changes,
        changes.listen("ride:1") as listener,
    ):
        server.kill()
        with pytest.raises(Unavailable):
            changes.announce("ride:1")
        server.start()

        def announced_and_heard() -> bool:
            with suppress(Unavailable):
                changes.announce("ride:1")
            return listener.wait(0.1)

        wait_until(announced_and_heard, "an announcement after the restart")


def test_listening_while_redis_is_away_is_only_slower(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)  # never started: nobody listens on its port
    with changes_on(server) as changes, changes.listen("ride:1") as listener:
        assert not listener.wait(0.01)


def a_failure_once(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The connection breaks in a way that redis-py does not call an error of its own."""
    original = getattr(PubSub, method)
    failed = threading.Event()

    def failing(*arguments: object, **options: object) -> object:
        if failed.is_set():
            return original(*arguments, **options)
        failed.set()
        raise ValueError("I/O operation on closed file.")

    monkeypatch.setattr(PubSub, method, failing)


@pytest.mark.parametrize("method", ["get_message", "subscribe", "psubscribe"])
def test_a_broken_subscription_is_made_again_after_any_error(
    changes: RedisChanges, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    a_failure_once(monkeypatch, method)
    with changes.listen("ride:1") as listener:

        def announced_and_heard() -> bool:
            changes.announce("ride:1")
            return listener.wait(0.1)

        wait_until(announced_and_heard, "an announcement after the failure")


def test_a_process_subscribes_once_whatever_it_listens_to(
    changes: RedisChanges, redis_server: RedisServer
) -> None:
    client = connect(redis_server.url, timeout_seconds=2)

    def commands() -> int:
        stats = cast("dict[str, dict[str, int]]", client.info("commandstats"))
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SUBSCRIBING)

    with changes.listen("ride:0"):
        before = commands()
        for number in range(100):
            with changes.listen(f"ride:{number}"):
                pass
        assert commands() == before


def test_an_announcement_of_the_previous_release_is_heard(
    changes: RedisChanges, redis_server: RedisServer
) -> None:
    client = connect(redis_server.url, timeout_seconds=2)
    with changes.listen("ride:1") as listener, changes.listen("ride:2") as other:
        client.publish("wildrydes:changed:ride:1", "")
        assert listener.wait(5)
        assert not other.wait(0.05)


def test_the_previous_release_hears_an_announcement_and_this_one_hears_it_once(
    changes: RedisChanges, redis_server: RedisServer
) -> None:
    heard: list[str] = []
    changes.on("ride:1", lambda: heard.append("ride:1"))
    client = connect(redis_server.url, timeout_seconds=2)
    with changes.listen("last") as last, client.pubsub() as former:  # type: ignore[no-untyped-call]
        former.subscribe("wildrydes:changed:ride:1")
        assert former.get_message(timeout=5)["type"] == "subscribe"
        changes.announce("ride:1", "last")
        assert former.get_message(timeout=5)["channel"] == "wildrydes:changed:ride:1"
        assert last.wait(5)
    assert heard == ["ride:1"]


def test_a_subscription_whose_peer_vanished_is_made_again(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    port = free_port()
    with running(port, redis_server.port, tmp_path) as proxy, changes_on(redis_server) as speaker:
        url = f"redis://127.0.0.1:{port}/0"
        deaf = RedisChanges(
            RedisLink(connect(url, timeout_seconds=0.5)), connect(url, timeout_seconds=0.5)
        )
        with deaf.listen("ride:1") as listener:
            speaker.announce("ride:1")
            assert listener.wait(5)
            proxy.order("half_open")

            def announced_and_heard() -> bool:
                speaker.announce("ride:1")
                return listener.wait(0.1)

            wait_until(announced_and_heard, "an announcement on a new connection")
        deaf.close()
