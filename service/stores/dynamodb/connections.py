"""HTTP connections to DynamoDB that stay open between requests.

This module uses Python's own HTTP client, because urllib3 under botocore takes eight times as
much CPU for each request.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import MSG_PEEK, SO_KEEPALIVE, SOL_SOCKET, socket
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from botocore import exceptions as failures

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0
"""The longest wait for the next bytes of an answer."""
LIVELY_SECONDS: Final = 1.0
"""A connection that was idle for longer (seconds) is checked before use, because the server may
have closed it."""
MOST_KEPT: Final = 64
"""The most idle connections that stay open: at least as many as there are threads that call at
once."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer in the form that botocore's events pass on; `headers` ignores the case of names."""

    status_code: int
    headers: Any
    content: bytes


class Connections:
    """The connections of one client. Safe to share between threads, but not across a fork."""

    def __init__(self, cert_path: str | None) -> None:
        self._cert_path = cert_path
        self._kept: deque[tuple[str, socket, float]] = deque()

    def post(self, request: AWSPreparedRequest) -> HttpAnswer:
        """Send the request and return the answer. Raises botocore's errors of lost connections."""
        url = request.url
        connection = self._take(url) or self._connect(url)
        try:
            connection.sendall(_text(request))
            # An open response holds the socket open, even after `connection.close()`.
            with closing(HTTPResponse(connection, method="POST")) as response:
                response.begin()
                answer = HttpAnswer(response.status, response.headers, response.read())
        except BaseException as error:
            connection.close()
            # The server may have closed the other connections too.
            self.close()
            if isinstance(error, TimeoutError):
                raise failures.ReadTimeoutError(endpoint_url=url, error=error) from error
            if isinstance(error, OSError | HTTPException):
                raise failures.ConnectionClosedError(endpoint_url=url) from error
            raise
        if response.will_close or len(self._kept) >= MOST_KEPT:
            connection.close()
        else:
            self._kept.append((url, connection, time.monotonic()))
        return answer

    def close(self) -> None:
        """Close all connections that are not in use."""
        with suppress(IndexError):
            while True:
                self._kept.pop()[1].close()

    def _take(self, url: str) -> socket | None:
        """The open connection to this address that was used last; None if there is none."""
        with suppress(IndexError):
            while True:
                its_url, connection, used_at = self._kept.pop()
                is_lively = time.monotonic() - used_at < LIVELY_SECONDS
                if its_url == url and (is_lively or _is_open(connection)):
                    return connection
                connection.close()
        return None

    def _connect(self, url: str) -> socket:
        to = urlsplit(url)
        opening = HTTPConnection(to.netloc, timeout=CONNECT_SECONDS)
        if to.scheme == "https":
            opening = HTTPSConnection(to.netloc, timeout=CONNECT_SECONDS, context=self._tls)
        try:
            opening.connect()
        except TimeoutError as error:
            raise failures.ConnectTimeoutError(endpoint_url=url, error=error) from error
        except OSError as error:
            raise failures.EndpointConnectionError(endpoint_url=url, error=error) from error
        connection: socket = opening.sock
        connection.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        connection.settimeout(READ_SECONDS)
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._cert_path)


def _is_open(connection: socket) -> bool:
    """Whether the server has neither closed the connection nor sent unexpected bytes."""
    connection.settimeout(0)
    try:
        # `socket.recv` of the base class, because the method of a TLS socket cannot peek.
        socket.recv(connection, 1, MSG_PEEK)
    except BlockingIOError:
        connection.settimeout(READ_SECONDS)
        return True
    except OSError:
        return False
    return False


def _text(request: AWSPreparedRequest) -> bytes:
    """The bytes of the whole request, so that one call sends it."""
    headers, body = cast("Mapping[str, bytes]", request.headers), cast(bytes, request.body)
    lines = [b"POST / HTTP/1.1"]
    lines += (b"%s: %s" % (name.encode(), value) for name, value in headers.items())
    lines += (b"Content-Length: %d" % len(body), b"", body)
    return b"\r\n".join(lines)
