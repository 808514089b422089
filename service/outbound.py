"""HTTP requests to other services, bounded in time and size.

No retries, no redirects, no proxy from the environment, no compression. One deadline covers
connecting, headers and body, because with a time-out per read a server that sends one byte a second
could go on for ever.
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
    """There is no usable answer: refused, too late, broken off or too large."""


class Outbound:
    """Sends requests over kept connections. Threads may share it; forked processes may not.

    `connections`: the number of connections kept for each host.
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
        """Make one request; returns status and body within `seconds`, connecting included.

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
    """A socket's incoming bytes until `deadline` (seconds of the monotonic clock)."""

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
    """Reads head and body within the socket's time-out, which urllib3 sets to the time left."""

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
