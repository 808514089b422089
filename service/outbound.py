"""Requests to other services: bounded in time and in size, and sent nowhere but where they should.

No retries, no redirects, no proxy from the environment, no compression. One deadline covers
connecting, headers and body: a time-out for each read would let a server that sends one byte a
second go on for ever.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

_CHUNK_BYTES: Final = 64 * 1024


class RequestFailed(Exception):
    """No answer: refused, late, broken off or too large."""


class Outbound:
    """Sends requests over kept connections. Safe to share between threads, not across a fork.

    `connections`: how many are kept for each host.
    """

    def __init__(self, *, connections: int = 1) -> None:
        self._pools = urllib3.PoolManager(maxsize=connections, retries=False)
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def request(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        most_bytes: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer, within `seconds` after connecting began.

        Raises `RequestFailed`, also for a body of more than `most_bytes`.
        """
        try:
            response = self._pools.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=seconds),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                received = _body(response, most_bytes)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except HTTPError as error:
            raise RequestFailed(f"{type(error).__name__}: {error}") from None
        return response.status, received


def _body(response: urllib3.BaseHTTPResponse, most_bytes: int) -> bytes:
    body = bytearray()
    while part := response.read(_CHUNK_BYTES):
        body += part
        if len(body) > most_bytes:
            raise RequestFailed("the answer is too large")
    return bytes(body)


class _Until(io.RawIOBase):
    """A socket's incoming bytes until a deadline, in seconds of the monotonic clock."""

    def __init__(self, deadline: float, connected: socket.socket, incoming: io.RawIOBase) -> None:
        self._deadline = deadline
        self._socket = connected
        self._incoming = incoming

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        self._socket.settimeout(left)
        return self._incoming.readinto(buffer)

    def close(self) -> None:
        self._incoming.close()
        super().close()


class _Response(HTTPResponse):
    """Reads its head and body within the time-out that urllib3 has just set: what is left."""

    def __init__(self, sock: socket.socket, *args: object, **kwargs: object) -> None:
        super().__init__(sock, *args, **kwargs)  # type: ignore[arg-type]
        deadline = time.monotonic() + (sock.gettimeout() or 0.0)
        self.fp = io.BufferedReader(_Until(deadline, sock, self.fp.detach()))


class _HttpConnection(HTTPConnection):
    response_class = _Response


class _HttpsConnection(HTTPSConnection):
    response_class = _Response


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
