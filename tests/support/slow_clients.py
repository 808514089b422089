"""Clients with a valid token that never finish what they began: a request, or reading an answer."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

LIFE_SECONDS: Final = 6.0
"""A connection is given up and opened again after this: a little later than the server's word."""

TICK_SECONDS: Final = 0.2
SMALL_BUFFER: Final = 4096
"""Bytes that a client's system takes in for it."""

ELSEWHERE: Final = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""An address of this machine that no other client of a test has, where the system has one."""


def half_a_head(token: str, ride_id: str) -> bytes:
    return f"GET /v1/rides HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Fil".encode()


def no_body(token: str, ride_id: str) -> bytes:
    return _post(token, "Content-Length: 60")


def half_a_chunk(token: str, ride_id: str) -> bytes:
    return _post(token, "Transfer-Encoding: chunked") + b'3c\r\n{"pickup":'


def nothing(token: str, ride_id: str) -> bytes:
    return b""


def unread_answers(token: str, ride_id: str) -> bytes:
    """Large ones, asked for at once."""
    return b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 3


def unread_stream(token: str, ride_id: str) -> bytes:
    head = f"GET /v1/rides/{ride_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}"
    return head.encode() + b"\r\n\r\n"


KINDS: Final = (half_a_head, no_body, half_a_chunk, nothing, unread_answers, unread_stream)


def _post(token: str, framing: str) -> bytes:
    return (
        f"POST /v1/rides HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\n{framing}\r\n\r\n"
    ).encode()


class SlowClients:
    """`count` connections from `ELSEWHERE`, of all kinds; a context manager that ends them.

    All are opened at once and again together, or at most `each_tick` at a time.
    """

    def __init__(
        self,
        ports: Sequence[int],
        token: str,
        count: int,
        *,
        ride_id: str = "none",
        each_tick: int | None = None,
    ) -> None:
        self._ports = itertools.cycle(ports)
        self._kinds = itertools.cycle(KINDS)
        self._about = token, ride_id
        self._count = count
        self._each_tick = each_tick or count
        self._open: list[tuple[float, socket.socket]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow clients")
        self.opened = 0

    def __enter__(self) -> Self:
        self._fill()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for _, connection in self._open:
            connection.close()

    def _run(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            now = time.monotonic()
            for began, connection in self._open:
                if now - began > LIFE_SECONDS:
                    connection.close()
            self._open = [each for each in self._open if each[1].fileno() >= 0]
            self._fill()

    def _fill(self) -> None:
        # A server that is just being restarted refuses; the next turn tries again.
        with suppress(OSError):
            for _ in range(min(self._each_tick, self._count - len(self._open))):
                self._open.append((time.monotonic(), self._begin()))

    def _begin(self) -> socket.socket:
        connection = socket.socket()
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            connection.settimeout(2)
            connection.bind((ELSEWHERE, 0))
            connection.connect(("127.0.0.1", next(self._ports)))
            connection.sendall(next(self._kinds)(*self._about))
        except OSError:
            connection.close()
            raise
        self.opened += 1
        return connection
