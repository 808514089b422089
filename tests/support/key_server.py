"""A real JWKS endpoint on the loopback interface, as bad as a test wants it to be."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Final

from tests.support.local_server import LocalServer, QuietHandler
from tests.support.token_mint import Json, SigningKey, jwks

PATH: Final = "/.well-known/jwks.json"

Answer = Callable[["KeyServer", BaseHTTPRequestHandler], object]


class KeyServer(LocalServer):
    """Serves keys, counts fetches. Change what it does at any time with the methods below."""

    def __init__(self, *keys: SigningKey | Json) -> None:
        self._fetches = 0
        self._at_once = 0
        self._most_at_once = 0
        self._counting = threading.Lock()
        self._released = threading.Event()
        server = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                with server.counted():
                    server.answer(server, self)

        super().__init__(Handler)
        self.serve(*keys)

    @property
    def url(self) -> str:
        return f"{super().url}{PATH}"

    @property
    def fetches(self) -> int:
        return self._fetches

    @property
    def most_at_once(self) -> int:
        """How many fetches were under way at the same time, at most."""
        return self._most_at_once

    def serve(self, *keys: SigningKey | Json) -> None:
        """Rotate: from now on these keys."""
        self.serve_body(jwks(*keys))

    def serve_body(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer anything; underscores in header names stand for hyphens."""

        def answer(_: KeyServer, request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        self.answer: Answer = answer

    def fail(self, status: int = 500) -> None:
        self.serve_body(b"out of order", status)

    def reset(self) -> None:
        """Close the connection without a word."""
        self.answer = lambda _, request: request.connection.shutdown(socket.SHUT_RDWR)

    def hang(self) -> None:
        """Accept and never answer, until `release` or the end of the test."""
        self._released.clear()
        self.answer = lambda server, _: server._released.wait()

    def release(self) -> None:
        """Let those who hang go; their connections are closed without an answer."""
        self._released.set()

    def drip(self, interval_seconds: float = 0.05) -> None:
        """An endless body, a byte at a time: each read succeeds, the whole never ends."""
        self._released.clear()

        def answer(server: KeyServer, request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            while not server._released.wait(interval_seconds):
                request.wfile.write(b" ")

        self.answer = answer

    def bomb(self) -> None:
        """A little gzip that is a lot of JSON."""
        body = gzip.compress(b'{"keys":[' + b" " * 10_000_000 + b"]}")
        self.serve_body(body, Content_Encoding="gzip")

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._counting:
            self._fetches += 1
            self._at_once += 1
            self._most_at_once = max(self._most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._counting:
                self._at_once -= 1
