"""The gunicorn worker: the connections of one address, and requests that cannot be read."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.server import StreamServer
from gunicorn.http.errors import InvalidHeader, InvalidResponseHeader, LimitRequestHeaders
from gunicorn.http.message import Request
from gunicorn.workers.ggevent import GeventWorker

from service.auth.verifier import LONGEST_TOKEN
from service.entrypoints.connection import HEAD_BYTES, LINGER_SECONDS, Connection, RequestTimeout
from service.entrypoints.crowds import Crowds
from service.entrypoints.server import (
    ACCEPTED_AT_ONCE,
    ApiWorker,
    ReadableRequest,
    Requests,
    UnreadableRequest,
    refusal_of,
)
from service.http.audit import client_address

FORWARDED = partial(client_address, trusted_hops=1)
LONG = "a" * (LONGEST_TOKEN + 1)


def worker(*, is_behind_proxy: bool) -> ApiWorker:
    """A worker with room for eight connections, with only the parts that counting needs."""
    made = ApiWorker.__new__(ApiWorker)
    made.worker_connections, made._crowds = 8, Crowds()
    extensions = {"is_behind_proxy": is_behind_proxy, "client_address": FORWARDED}
    made.wsgi = SimpleNamespace(extensions=extensions)
    return made


def test_one_address_holds_half_of_the_connections_and_leaves_the_rest() -> None:
    server = worker(is_behind_proxy=False)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(server._counted("192.0.2.1"))
        with pytest.raises(ConnectionRefusedError), server._counted("192.0.2.1"):
            pass
        held.enter_context(server._counted("192.0.2.2"))
    with server._counted("192.0.2.1"):
        pass


def test_a_balancer_may_hold_them_all() -> None:
    server = worker(is_behind_proxy=True)
    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(server._counted("192.0.2.1"))
        assert server._crowds.addresses == {}


@pytest.mark.parametrize(
    ("is_behind_proxy", "client", "turns"),
    [(True, "198.51.100.7", ["198.51.100.7"]), (False, "192.0.2.1", [])],
)
def test_behind_a_balancer_a_request_counts_for_its_client_and_waits_for_a_turn(
    monkeypatch: pytest.MonkeyPatch, is_behind_proxy: bool, client: str, turns: list[str]
) -> None:
    server, taken = worker(is_behind_proxy=is_behind_proxy), list[str]()
    monkeypatch.setattr(server._crowds, "take_turn", taken.append)
    headers = [("X-FORWARDED-FOR", "203.0.113.9"), ("X-FORWARDED-FOR", "198.51.100.7")]
    request = SimpleNamespace(headers=headers)
    with server._counted("192.0.2.1"), server._counted_request(request, "192.0.2.1"):
        assert [*server._crowds.addresses] == [client]
        assert taken == turns
    assert server._crowds.addresses == {}


class WithoutHeaders(Requests):
    """Requests whose heads and bodies are empty."""

    def __init__(self) -> None: ...

    def __next__(self) -> SimpleNamespace:
        return SimpleNamespace(headers=[])

    def finish_body(self, max_bytes: int) -> bool:
        return True


def test_a_request_that_no_balancer_forwarded_counts_for_whoever_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, counted = worker(is_behind_proxy=True), list[str]()
    monkeypatch.setattr(
        server, "handle_request", lambda *_: counted.extend(server._crowds.addresses)
    )
    connection: Any = SimpleNamespace(head_is_read=lambda: None)
    assert server._serve_next(None, WithoutHeaders(), connection, ("192.0.2.1", 40_000))
    assert counted == ["192.0.2.1"]


class Client:
    """A client's socket: sends these pieces, and never reads."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.options: list[tuple[object, ...]] = []
        self.timeouts: list[float] = []
        self.is_half_closed = False

    def setsockopt(self, *option: object) -> None:
        self.options.append(option)

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def recv(self, size: int, flags: int = 0) -> bytes:
        assert size > 0
        if not self.pieces:
            raise TimeoutError
        return self.pieces[0] if flags == socket.MSG_PEEK else self.pieces.pop(0)

    def sendall(self, data: bytes) -> None:
        raise TimeoutError

    def shutdown(self, how: int) -> None:
        self.is_half_closed = how == socket.SHUT_WR


def test_a_client_that_vanishes_is_noticed_after_half_a_minute() -> None:
    client = Client()
    Connection(client)
    assert client.options == [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)]


def test_what_a_client_does_not_read_is_dropped_with_its_connection() -> None:
    client = Client()
    with pytest.raises(ConnectionResetError):
        Connection(client).sendall(b"answer")
    assert client.timeouts == [10]
    level, option, value = client.options[-1]
    assert (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER)
    assert isinstance(value, bytes)
    is_on, seconds = struct.unpack("ii", value)
    assert is_on
    assert seconds == 0


@pytest.mark.parametrize(
    ("pieces", "left"),
    [([b"x" * HEAD_BYTES] * 4, 1), ([b"x", b"", b"never read"], 1), ([b"x" * HEAD_BYTES] * 2, 0)],
)
def test_after_a_refusal_the_client_may_read_it_until_it_closes_sends_much_or_waits(
    pieces: list[bytes], left: int
) -> None:
    client = Client(*pieces)
    connection = Connection(client)
    connection.head += b"x" * HEAD_BYTES
    connection.linger()
    assert client.is_half_closed
    assert len(client.pieces) == left
    assert all(0 < seconds <= LINGER_SECONDS for seconds in client.timeouts)


def test_the_event_loop_accepts_few_connections_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    accepts = list[int]()
    monkeypatch.setattr(StreamServer, "max_accept", 100)
    monkeypatch.setattr(
        GeventWorker, "init_process", lambda _: accepts.append(StreamServer.max_accept)
    )
    ApiWorker.__new__(ApiWorker).init_process()
    assert accepts == [ACCEPTED_AT_ONCE]


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"x" * (HEAD_BYTES + 1)])
def test_the_rest_of_a_refused_head_is_read_to_its_end_or_its_bound(first: bytes) -> None:
    connection = Connection(Client(first, b"of the next request"))
    connection.read_on()
    assert connection.head == first


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestTimeout(), 408),
        (LimitRequestHeaders("x"), 431),
        (InvalidHeader("x"), 400),
        (InvalidResponseHeader("ours"), 500),
        (KeyError("ours"), 500),
    ],
)
def test_each_failure_has_its_status(error: Exception, status: int) -> None:
    assert refusal_of(error, b"")[0] == status


@pytest.mark.parametrize(
    ("error", "is_ours"), [(KeyError("ours"), True), (InvalidHeader("x"), False)]
)
def test_only_a_failure_of_the_server_itself_is_logged_as_an_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_ours: bool
) -> None:
    server, logged = worker(is_behind_proxy=False), list[Exception]()
    server.log = SimpleNamespace(
        error=lambda _, exc_info: logged.append(exc_info), info=lambda *_: None
    )
    monkeypatch.setattr(server, "handle_request", lambda *_: None)
    server._refuse(None, Connection(Client()), ("192.0.2.1", 40_000), error)
    assert logged == ([error] if is_ours else [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Authorization: Bearer " + LONG, "token_too_large"),
        ("authorization:\tbearer  " + LONG, "token_too_large"),
        ("Authorization: Bearer " + LONG[:LONGEST_TOKEN], "headers_too_large"),
        ("Authorization: Basic " + LONG, "headers_too_large"),
        ("X-Authorization: Bearer " + LONG, "headers_too_large"),
    ],
    ids=lambda text: text[:24],
)
def test_a_head_that_is_too_large_by_its_token_is_named_as_that(line: str, reason: str) -> None:
    head = f"GET / HTTP/1.1\r\nHost: x\r\n{line}".encode()
    assert refusal_of(LimitRequestHeaders("x"), head)[1] == reason
    assert refusal_of(InvalidHeader("x"), head)[1] == "bad_request"


@pytest.mark.parametrize(
    ("lines", "headers"),
    [
        ("Origin: https://a.example", [("ORIGIN", "https://a.example")]),
        ("oRiGiN:\thttps://a.example \t", [("ORIGIN", "https://a.example")]),
        ("Origin: a b\r\nX-Request-Id: r1", [("X-REQUEST-ID", "r1")]),
        ("Origin: a\r\nOrigin: b", [("ORIGIN", "a"), ("ORIGIN", "b")]),
        ("X-Origin: a\r\nAuthorization: Bearer eyJ", []),
        ("Origin: \xe4", []),
    ],
)
def test_only_origin_and_request_id_are_taken_from_an_unreadable_head(
    lines: str, headers: list[tuple[str, str]]
) -> None:
    head = f"GET / HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
    assert UnreadableRequest(head).headers == headers


def test_an_origin_that_is_still_arriving_is_not_taken_for_a_whole_one() -> None:
    assert UnreadableRequest(b"GET / HTTP/1.1\r\nOrigin: https://a.exam").headers == []


@pytest.mark.parametrize(
    ("received", "is_open"),
    [(b"x", True), (b"", False), (BlockingIOError(), True), (ConnectionResetError(), False)],
)
def test_a_closed_connection_is_told_without_waiting(
    received: bytes | OSError, is_open: bool
) -> None:
    client = Client()

    def recv(size: int) -> bytes:
        assert size > 0
        if isinstance(received, OSError):
            raise received
        return received

    client.recv = recv  # type: ignore[assignment, method-assign]
    assert Connection(client)._read_ahead() is is_open
    assert client.timeouts == [0]


@pytest.mark.parametrize(
    ("has_failed", "connection", "closes"),
    [(False, "keep-alive", False), (False, "keep-alive, Close", True), (True, "keep-alive", True)],
)
def test_a_connection_ends_after_a_body_that_failed_or_if_its_client_says_so(
    monkeypatch: pytest.MonkeyPatch, has_failed: bool, connection: str, closes: bool
) -> None:
    monkeypatch.setattr(Request, "should_close", lambda _: False)
    request = ReadableRequest.__new__(ReadableRequest)
    request.body = SimpleNamespace(failed=has_failed)
    request.headers = [("CONNECTION", connection)]
    assert request.should_close() is closes
