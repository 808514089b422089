"""One client's connection, with a limit on everything that depends on the client.

gunicorn reads requests from it and writes answers to it. This module imports nothing of the
service, because gunicorn's configuration loads it before gevent patches the standard library.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import ECONNRESET
from time import monotonic
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
from gunicorn.http.errors import LimitRequestHeaders  # type: ignore[import-untyped]

REQUEST_SECONDS: Final = 5.0
"""Time limit from the first byte of a request to the last of its body, and from connecting to the
first byte. A phone on a bad network sends 16 KiB in less."""

ANSWER_SECONDS: Final = 10.0
"""How long the client may take to accept one piece of an answer or stream."""

HEAD_BYTES: Final = 32 * 1024
"""The longest head of a request. A token of 7 KiB, a path and browsers' headers need half of it."""

VANISHED_SECONDS: Final = 30
"""A client that acknowledges nothing for this long is gone, for example a phone without network."""

LINGER_SECONDS: Final = 0.5
"""How long a connection stays half open after its last answer, so that the client can read it."""

TOO_SLOW: Final = (408, "request_timeout", "The request did not arrive in time.")

_AT_ONCE: Final = 0.001
"""The least time-out of a read, which still gets bytes that have arrived; with 0 gevent raises
another error."""

AHEAD_BYTES: Final = 8 * 1024
"""While a request waits for news, the next one is read until so many bytes of it are there."""

_READABLE: Final = 1
"""libev's EV_READ."""

_DROP_WHAT_IS_UNSENT: Final = struct.pack("ii", 1, 0)


class RequestTimeout(Exception):
    """The head of a request did not arrive in time."""


class Connection:
    """Takes the place of the client's socket in gunicorn."""

    refusal: tuple[int, str, str] | None = None
    """Status, reason and detail of the application's answer if the request cannot be read."""

    def __init__(self, client: Any, take_turn: Callable[[], None] = lambda: None) -> None:
        """`take_turn`: waits until the process may work on the bytes that have arrived."""
        self._socket = client
        self._take_turn = take_turn
        self._patience = REQUEST_SECONDS
        self._deadline: float | None = None
        self._reads_head = True
        self.head = bytearray()
        """The bytes of the current request's head that have arrived."""
        self._ahead = bytearray()
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_SECONDS * 1000)

    @property
    def is_idle(self) -> bool:
        """Whether no byte of the next request has arrived."""
        return self._deadline is None

    def head_is_read(self) -> None:
        self._reads_head = False
        if self._deadline is None:
            # It came together with the request before it, so no byte of it was read on its own.
            self._deadline = monotonic() + REQUEST_SECONDS

    def await_next(self, patience: float) -> None:
        """Prepare for the next request, which must begin within `patience` seconds."""
        self._patience, self._deadline, self._reads_head = patience, None, True
        self.head.clear()

    def recv(self, size: int) -> bytes:
        """The next bytes; empty if the client has closed or sends no further request in time.

        Raises `RequestTimeout` in the head of a request and `TimeoutError` in its body.
        """
        try:
            data = self._receive(size)
        except TimeoutError:
            if self._deadline is None:
                return b""
            if self._reads_head:
                raise RequestTimeout from None
            self.refusal = TOO_SLOW
            raise
        if data:
            self._take_turn()
        if self._reads_head:
            self.head += data
            if len(self.head) > HEAD_BYTES:
                raise LimitRequestHeaders(f"more than {HEAD_BYTES} bytes")
        return data

    def _receive(self, size: int) -> bytes:
        is_first = self._deadline is None
        left = self._patience if self._deadline is None else self._deadline - monotonic()
        data = bytes(self._ahead[:size])
        del self._ahead[:size]
        if not data:
            self._socket.settimeout(max(left, _AT_ONCE))
            data = self._socket.recv(size)
        if is_first and data:
            self._deadline = monotonic() + REQUEST_SECONDS
        return data

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raises `ConnectionResetError` if the client does not read it."""
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_WHAT_IS_UNSENT)
            raise ConnectionResetError(ECONNRESET, "the client does not read") from None

    send = sendall

    @contextmanager
    def watched(self, gone: Callable[[], None]) -> Iterator[None]:
        """While the context lasts, `gone` is called once if the client closes its connection.

        A close is visible only behind the bytes that the client sent before it, so those are read
        and kept for the next request. After `AHEAD_BYTES` of them, a close is not noticed.
        """
        watcher = gevent.get_hub().loop.io(self._socket.fileno(), _READABLE)

        def look() -> None:
            is_open = self._read_ahead()
            if not is_open or len(self._ahead) >= AHEAD_BYTES:
                watcher.stop()
            if not is_open:
                # In a greenlet, because `gone` takes a lock and the event loop must not wait.
                gevent.spawn(gone)

        watcher.start(look)
        try:
            yield
        finally:
            watcher.stop()
            watcher.close()

    def _read_ahead(self) -> bool:
        """Keep what has arrived for the next `recv`; False if the client has closed."""
        self._socket.settimeout(0)
        try:
            data = self._socket.recv(AHEAD_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._ahead += data
        return bool(data)

    def read_on(self) -> None:
        """Read the rest of a refused head, because it may name the origin that CORS needs."""
        self._until_quiet(lambda: b"\r\n\r\n" in self.head or len(self.head) > HEAD_BYTES)

    def linger(self) -> None:
        """Give the client time to read the answer.

        If the connection closed while the client still sends, its system would discard the answer.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self.head.clear()
        self._until_quiet(lambda: len(self.head) > 2 * HEAD_BYTES)

    def _until_quiet(self, enough: Callable[[], bool]) -> None:
        end = monotonic() + LINGER_SECONDS
        with suppress(OSError):
            while not enough():
                self._socket.settimeout(max(end - monotonic(), _AT_ONCE))
                data = self._socket.recv(HEAD_BYTES)
                if not data:
                    return
                self.head += data

    def stop_reading(self) -> None:
        """Take no further requests; requests that have already arrived are still answered."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        self._socket.close()
