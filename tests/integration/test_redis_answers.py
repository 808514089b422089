"""Errors that a real Redis answers: what callers see, and what happens to the connection."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import RedisError, ResponseError

from service.model.errors import Unavailable
from service.stores.redis.link import (
    CheckedConnection,
    Failure,
    NotPrimary,
    RedisLink,
    connect,
    failure_of,
)
from tests.load.chaos.proxy import running
from tests.support.infrastructure import RedisServer, free_port, wait_until

ENDLESS = "while true do end"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which it may break."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def link(server: RedisServer) -> Iterator[RedisLink]:
    with closing(connect(server.url, timeout_seconds=5)) as client:
        yield RedisLink(client)


def connection_id(link: RedisLink) -> object:
    with link.use() as client:
        return client.client_id()


def refused(link: RedisLink) -> str:
    """What a write is refused with."""
    with pytest.raises(Unavailable) as caught, link.use() as client:
        client.set("key", "value")
    return str(caught.value)


@contextmanager
def a_full_memory(admin: redis.Redis) -> Iterator[None]:
    admin.config_set("maxmemory", "1")
    yield
    admin.config_set("maxmemory", "0")


@contextmanager
def a_busy_script(admin: redis.Redis) -> Iterator[None]:
    admin.config_set("busy-reply-threshold", "1")

    def run() -> None:
        with (
            redis.Redis(port=admin.get_connection_kwargs()["port"]) as client,
            suppress(RedisError),
        ):
            client.eval(ENDLESS, 0)

    script = threading.Thread(target=run)
    script.start()
    wait_until(lambda: is_busy(admin), "a busy server")
    yield
    admin.script_kill()
    script.join()
    wait_until(lambda: not is_busy(admin), "the end of the script")


def is_busy(admin: redis.Redis) -> bool:
    try:
        admin.get("key")
    except ResponseError:
        return True
    return False


@contextmanager
def no_permission(admin: redis.Redis) -> Iterator[None]:
    admin.acl_setuser("default", enabled=True, nopass=True, commands=["-set"])
    yield
    admin.acl_setuser("default", enabled=True, nopass=True, commands=["+set"])


@contextmanager
def too_few_replicas(admin: redis.Redis) -> Iterator[None]:
    admin.config_set("min-replicas-to-write", "1")
    yield
    admin.config_set("min-replicas-to-write", "0")


@pytest.mark.parametrize("trouble", [a_full_memory, a_busy_script, no_permission, too_few_replicas])
def test_a_server_that_refuses_keeps_its_connection_and_is_used_again_at_once(
    link: RedisLink, admin: redis.Redis, trouble: object, caplog: pytest.LogCaptureFixture
) -> None:
    before = connection_id(link)
    assert callable(trouble)
    with trouble(admin):
        refused(link)
    with link.use() as client:
        client.set("key", "value")
    assert connection_id(link) == before
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_a_wrong_command_is_one_failed_operation_and_logged_as_a_defect(
    link: RedisLink, caplog: pytest.LogCaptureFixture
) -> None:
    before = connection_id(link)
    with link.use() as client:
        client.set("text", "value")
    for wrong in (
        lambda client: client.hset("text", "field", "value"),
        lambda client: client.eval("return redis.call('HGETALL', KEYS[1])", 1, "text"),
        lambda client: client.execute_command("NO SUCH COMMAND"),
        lambda client: client.eval("not Lua", 0),
        lambda client: client.exchange([("SET", "other", "1"), ("HSET", "text", "field", "value")]),
    ):
        caplog.clear()
        with pytest.raises(Unavailable), link.use() as client:
            wrong(client)
        (line,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert line.exc_info
    assert connection_id(link) == before


def test_an_exchange_answers_as_a_pipeline_does(link: RedisLink) -> None:
    texts = ["", "käse", "\udcff", "a\r\nb", "x" * 100_000]
    numbers = [0, -1, 1e-9, 40.712800000000001, 2**53]
    with link.use() as client:
        commands = [("SET", f"key {n}", value) for n, value in enumerate([*texts, *numbers])]
        assert client.exchange([*commands, ("GET", "none")]) == ["OK"] * len(commands) + [None]
        stored = client.exchange([("GET", name) for _, name, _ in commands])
        assert stored[: len(texts)] == texts
        assert [float(text) for text in stored[len(texts) :]] == numbers
        with client.pipeline(transaction=False) as pipe:
            for _, name, _ in commands:
                pipe.get(name)
            assert pipe.execute() == stored


def test_an_exchange_that_is_broken_off_leaves_no_answer_to_the_next(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenOff(BaseException):
        """As a greenlet's end, or a job's time limit."""

    def broken_off(*_: object) -> None:
        raise BrokenOff

    with link.use() as client:
        client.set("key", "value")
        with monkeypatch.context() as patch:
            patch.setattr(CheckedConnection, "read_response", broken_off)
            with pytest.raises(BrokenOff):
                client.exchange([("SET", "key", "other")])
        assert client.get("key") in {"value", "other"}


def test_a_server_that_became_a_replica_is_left_for_the_new_primary(
    server: RedisServer, admin: redis.Redis, tmp_path: Path
) -> None:
    port = free_port()
    with (
        RedisServer(tmp_path / "other") as other,
        running(port, server.port, tmp_path) as door,
        closing(connect(f"redis://127.0.0.1:{port}/0", timeout_seconds=5)) as client,
        redis.Redis.from_url(other.url, decode_responses=True) as there,
    ):
        link = RedisLink(client)
        listener = client.pubsub()
        listener.subscribe("channel")
        with link.use() as first, client.client() as second:
            first.set("a", "1")
            second.set("b", "1")  # two connections besides the listener's
        admin.replicaof("127.0.0.1", str(other.port))
        door.order(f"lead {other.port}")
        with link.use() as client:
            client.exchange([("SET", "c", "1"), ("SET", "d", "1")])
        assert there.mget("c", "d") == ["1", "1"]
        wait_until(
            lambda: (
                listener.get_message(timeout=0.1) is None and there.pubsub_numsub("channel")[0][1]
            ),
            "the listener at the new primary",
        )
        listener.close()  # type: ignore[no-untyped-call]
        ours = [each for each in admin.client_list() if each["name"] == "wildrydes"]
        assert ours == []


def test_without_a_primary_a_write_is_unavailable_and_works_when_there_is_one_again(
    link: RedisLink, admin: redis.Redis
) -> None:
    with link.use() as client:
        client.set("key", "value")
    admin.replicaof("127.0.0.1", "1")
    assert "NotPrimary" in refused(link)
    admin.replicaof("NO", "ONE")
    wait_until(lambda: is_usable(link), "a write")


def is_usable(link: RedisLink) -> bool:
    try:
        with link.use() as client:
            return bool(client.set("key", "value"))
    except Unavailable:
        return False


def test_a_script_on_a_replica_is_no_defect(link: RedisLink, admin: redis.Redis) -> None:
    admin.replicaof("127.0.0.1", "1")
    with pytest.raises(Unavailable) as caught, link.use() as client:
        client.eval("return redis.call('SET', KEYS[1], '1')", 1, "key")
    assert isinstance(caught.value.__cause__, NotPrimary)


def test_a_transaction_on_a_replica_is_no_defect(link: RedisLink, admin: redis.Redis) -> None:
    admin.replicaof("127.0.0.1", "1")
    with pytest.raises(Unavailable) as caught, link.use() as client, client.pipeline() as pipe:
        pipe.set("key", "1").set("other", "1").execute()
    assert isinstance(caught.value.__cause__, NotPrimary)


def test_a_wait_that_a_failover_unblocks_is_a_lost_connection(
    link: RedisLink, admin: redis.Redis
) -> None:
    cut = threading.Timer(0.3, admin.replicaof, ("127.0.0.1", "1"))
    cut.start()
    with pytest.raises(Unavailable) as caught, link.use() as client:
        client.blpop(["nothing"], 4)
    cut.join()
    assert isinstance(caught.value.__cause__, NotPrimary)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("LOADING Redis is loading the dataset in memory", Failure.LOST),
        ("MASTERDOWN Link with MASTER is down", Failure.LOST),
        ("NOAUTH Authentication required.", Failure.LOST),
        ("ERR max number of clients reached", Failure.LOST),
        ("MISCONF Redis is configured to save RDB snapshots", Failure.REFUSED),
        ("CLUSTERDOWN The cluster is down", Failure.REFUSED),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Failure.REFUSED),
        (
            "ERR user_script:1: attempt to index a nil value script: 9c2e, on @user_script:1.",
            Failure.DEFECT,
        ),
        ("CROSSSLOT Keys in request don't hash to the same slot", Failure.DEFECT),
        ("SOMETHING new", Failure.DEFECT),
    ],
)
def test_answers_that_are_hard_to_provoke(answer: str, verdict: Failure) -> None:
    assert failure_of(redis.connection._RESP2Parser.parse_error(answer)) is verdict


def test_connections_have_names(server: RedisServer, admin: redis.Redis) -> None:
    assert urlsplit(server.url).scheme == "redis"
    with closing(connect(server.url, timeout_seconds=2, name="wildrydes-web")) as client:
        client.ping()
        assert "wildrydes-web" in {each["name"] for each in admin.client_list()}


def test_many_calls_at_once_are_no_failure_of_redis(server: RedisServer) -> None:
    callers = 150
    with closing(connect(server.url, timeout_seconds=5)) as client:
        link = RedisLink(client)

        def waits(number: int) -> object:
            with link.use() as client:
                return client.blpop([f"nothing-{number}"], 1)

        with ThreadPoolExecutor(callers) as pool:
            assert list(pool.map(waits, range(callers))) == [None] * callers
