"""One HTTP GET of a small document from an address we were configured with, and nothing else.

No redirects, no proxy from the environment, no compression; one deadline over connecting, TLS,
headers and body, so that an endpoint that drips cannot hold us; a cap on the body.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Collection
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

LARGEST_BODY_BYTES: Final = 64 * 1024


class FetchFailed(Exception):
    """No document: refused, late, too large, or not 200."""


class Endpoint:
    """Calling it fetches the document. Raises `FetchFailed`.

    The constructor raises `ValueError` for an address that is neither HTTPS nor on this machine
    nor on one of `allow_http_hosts`.
    """

    def __init__(
        self, url: str, *, allow_http_hosts: Collection[str] = (), deadline_seconds: float = 3.0
    ) -> None:
        self._parts = _allowed(urlsplit(url), allow_http_hosts)
        self._deadline_seconds = deadline_seconds

    def __call__(self) -> bytes:
        deadline = time.monotonic() + self._deadline_seconds
        connection = self._connection()
        connection.response_class = _response_until(deadline)
        try:
            connection.request("GET", self._target, headers={"Accept": "application/json"})
            with connection.getresponse() as response:
                return _body(response)
        except (OSError, HTTPException) as error:
            raise FetchFailed(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        host = self._parts.hostname or ""
        return kind(host, self._parts.port, timeout=self._deadline_seconds)

    @property
    def _target(self) -> str:
        query = f"?{self._parts.query}" if self._parts.query else ""
        return (self._parts.path or "/") + query


def _allowed(parts: SplitResult, http_hosts: Collection[str]) -> SplitResult:
    host = parts.hostname
    if not host or parts.username is not None:
        raise ValueError("a key set address needs a host and no user name")
    if parts.scheme == "https":
        return parts
    if parts.scheme == "http" and (host in http_hosts or _is_loopback(host)):
        return parts
    raise ValueError("a key set address must be https unless on this machine or an allowed host")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _body(response: HTTPResponse) -> bytes:
    if response.status != 200:
        raise FetchFailed(f"answered {response.status}")
    body = response.read(LARGEST_BODY_BYTES + 1)
    if len(body) > LARGEST_BODY_BYTES:
        raise FetchFailed("the document is too large")
    return body


def _response_until(deadline: float) -> type[HTTPResponse]:
    class Response(HTTPResponse):
        """Reads its head and body from a stream that ends at the deadline."""

        def __init__(self, sock: socket.socket, *args: object, **kwargs: object) -> None:
            super().__init__(sock, *args, **kwargs)  # type: ignore[arg-type]
            self.fp = io.BufferedReader(_Until(deadline, sock, self.fp.detach()))

    return Response


class _Until(io.RawIOBase):
    """A socket's incoming bytes. A timeout per read would let one byte a second go on for ever."""

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
