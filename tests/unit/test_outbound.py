"""Requests to other services end in time, whatever the other side does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from service.outbound import Outbound, RequestFailed
from tests.support.infrastructure import free_port
from tests.support.local_server import LocalServer, QuietHandler

SECONDS = 0.3
LONG = 5.0
"""Far more than a request may take, and far less than these servers would need."""


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

    with LocalServer(Handler, clients_keep_alive=True) as server:
        yield server.url


def drip(handler: BaseHTTPRequestHandler, text: bytes) -> None:
    try:
        for byte in text:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


def good(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "4")
    handler.end_headers()
    handler.wfile.write(b"good")


def get(url: str, outbound: Outbound | None = None) -> tuple[int, bytes]:
    return (outbound or Outbound()).request("GET", url, seconds=SECONDS, most_bytes=100)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n" + b"x" * 90,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50,
    ],
    ids=["headers", "body", "chunks"],
)
def test_a_request_to_a_server_that_drips_ends_in_time(text: bytes) -> None:
    with serving(lambda handler: drip(handler, text)) as url:
        began = time.monotonic()
        with pytest.raises(RequestFailed):
            get(url)
        assert time.monotonic() - began < LONG


def test_each_request_on_a_kept_connection_has_its_own_deadline() -> None:
    clients = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        clients.append(handler.client_address)
        good(handler)

    with serving(answer) as url:
        outbound = Outbound()
        for _ in range(3):
            assert get(url, outbound) == (200, b"good")
            time.sleep(SECONDS / 2)
    assert len(set(clients)) == 1


def test_an_answer_beyond_the_bound_is_not_read_to_its_end() -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            handler.close_connection = True

    with serving(flood) as url, pytest.raises(RequestFailed, match="too large"):
        get(url)


def test_redirects_and_proxies_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "http://169.254.169.254/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serving(redirect) as url:
        assert get(url) == (302, b"")


def test_a_server_that_does_not_exist_is_a_failed_request() -> None:
    with pytest.raises(RequestFailed):
        get(f"http://127.0.0.1:{free_port()}/")
