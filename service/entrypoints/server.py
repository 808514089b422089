"""The gunicorn worker that serves the API: one greenlet per connection, one request at a time.

It passes a request to the application as soon as its head has arrived, and limits what clients may
use (`entrypoints.connection`). If a request cannot be read, the application answers it too, so that
the refusal has the form, the headers and the log line of every other answer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from types import FrameType
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
from gevent.server import StreamServer  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.util import close  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from service.auth.errors import TokenTooLarge
from service.entrypoints.connection import TOO_SLOW, Connection, RequestTimeout
from service.entrypoints.crowds import Crowds
from service.logs import drop_unwritable_output

STOPPING_SECONDS: Final = 0.5
"""How long a stopping worker waits on a kept connection for a request that may be on its way. The
answer to that request says `Connection: close`."""

ACCEPTED_AT_ONCE: Final = 16
"""The most new connections that the event loop accepts per iteration. With gevent's default (100),
each request that waits for a store would also wait for 100 new connections. With 1, in an overload
new connections would wait for 20 s, because each iteration serves dozens of open ones."""

DRAINED_BYTES: Final = 1024 * 1024
"""The most bytes of an unread body that are skipped to keep the connection. A longer body ends the
connection."""

REFUSALS: Final[tuple[tuple[type[Exception], tuple[int, str, str]], ...]] = (
    (InvalidResponseHeader, (500, "internal_error", "The service failed.")),
    (InvalidResponseHeaderName, (500, "internal_error", "The service failed.")),
    (RequestTimeout, TOO_SLOW),
    (LimitRequestLine, (414, "uri_too_long", "The URI is too long.")),
    (LimitRequestHeaders, (431, "headers_too_large", "The headers are too large.")),
    (
        ExpectationFailed,
        (417, "expectation_failed", "The only supported expectation is 100-continue."),
    ),
    (
        UnsupportedTransferCoding,
        (415, "unsupported_media_type", "The only supported transfer coding is chunked."),
    ),
    (ParseException, (400, "bad_request", "The request could not be read.")),
    (Exception, (500, "internal_error", "The service failed.")),
)
"""The answers to requests that cannot be read, by exception; the first that matches counts."""

_TOO_LARGE_TOKEN: Final = re.compile(
    rb"\r\nauthorization:[ \t]*bearer[ \t]+[^\r\n]{7169}", re.IGNORECASE
)
"""Matches a token that is longer than `verifier.LONGEST_TOKEN` (7168). That module is not imported
here, because it must be imported after gevent's patches."""

_HEADERS_OF_REFUSALS: Final = re.compile(
    rb"\r\n(origin|x-request-id):[ \t]*([\x21-\x7e]+)[ \t]*(?=\r\n)", re.IGNORECASE
)


def refusal_of(error: Exception, head: bytes) -> tuple[int, str, str]:
    """Status, reason and detail for a request whose head could be read only as far as `head`.

    A token that is too large has a reason of its own, because an app must react to it differently.
    """
    if isinstance(error, LimitRequestHeaders) and _TOO_LARGE_TOKEN.search(head):
        return TokenTooLarge.status, TokenTooLarge.reason, TokenTooLarge.detail
    return next(answer for kind, answer in REFUSALS if isinstance(error, kind))


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's logger, without access records."""

    def setup(self, cfg: Any) -> None:
        """Configure logging in gunicorn's parent process; the workers inherit the configuration."""
        drop_unwritable_output()
        super().setup(cfg)

    def access(self, *_: object) -> None:
        """Build no record, because the service logs each request itself."""


class ReadableRequest(Request):  # type: ignore[misc]
    """A request whose head was read."""

    def should_close(self) -> bool:
        """Whether the connection ends after the answer."""
        # After a body that failed, the beginning of the next request is unknown.
        return self.body.failed or "close" in self._options() or super().should_close()

    def _options(self) -> set[str]:
        """The options in `Connection`, a list that may have several lines (RFC 9110, 7.6.1)."""
        lists = (value for name, value in self.headers if name == "CONNECTION")
        return {option.strip().lower() for each in lists for option in each.split(",")}


class UnreadableRequest:
    """Takes the place of a request whose head could not be read; has what the answer needs."""

    method, uri, path, query, version, scheme = "UNREAD", "(unread)", "(unread)", "", (1, 1), "http"
    proxy_protocol_info = None
    _expected_100_continue = False

    def __init__(self, head: bytes) -> None:
        self.body = io.BytesIO()
        self.headers = [
            (name.decode().upper(), value.decode())
            for name, value in _HEADERS_OF_REFUSALS.findall(head)
        ]

    def should_close(self) -> bool:
        return True


class Requests(RequestParser):  # type: ignore[misc]
    """The requests of a connection, one after the other."""

    mesg_class = ReadableRequest


class ApiWorker(GeventWorker):  # type: ignore[misc]
    """Serves connections until it is told to stop, and then closes the idle ones."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: set[Connection] = set()
        self._crowds = Crowds()

    def init_process(self) -> None:
        StreamServer.max_accept = ACCEPTED_AT_ONCE
        super().init_process()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection, in a greenlet of its own."""
        turn = partial(self._crowds.take_turn, addr[0])
        try:
            with self._counted(addr[0]), self._registered(Connection(client, turn)) as connection:
                self._serve(listener.getsockname(), connection, addr)
        except (OSError, ParseException) as error:
            # `ParseException`: the rest of the body is broken, but the application did not need it.
            self.log.debug("connection ended: %s", error)
        finally:
            close(client)

    def _serve(self, name: Any, connection: Connection, addr: Any) -> None:
        parser = Requests(self.cfg, connection, addr)
        while self._serve_next(name, parser, connection, addr):
            connection.await_next(self.cfg.keepalive if self.alive else STOPPING_SECONDS)
            # The next request may have arrived already; without this pause, a connection that sends
            # request after request would keep all others waiting.
            gevent.sleep()
            self._crowds.take_turn(addr[0])

    def _serve_next(self, name: Any, parser: Requests, connection: Connection, addr: Any) -> bool:
        """Serve one request; return whether the connection can take another."""
        goes_on = True
        try:
            request = next(parser)
            connection.head_is_read()
            with self._counted_request(request, addr[0]):
                self.handle_request(name, request, connection, addr)
        except StopIteration:
            goes_on = False
        except OSError:
            raise
        except Exception as error:
            self._refuse(name, connection, addr, error)
            return False
        # Skip the body even if the connection ends: if it closed while the client still sends, the
        # client's system would discard the answer.
        if parser.finish_body(max_bytes=DRAINED_BYTES):
            return goes_on
        connection.linger()
        return False

    def _refuse(self, name: Any, connection: Connection, addr: Any, error: Exception) -> None:
        """Let the application answer for a request that could not be read or answered."""
        refusal = refusal_of(error, bytes(connection.head))
        if refusal[0] == 500:
            self.log.error("request failed in the server", exc_info=error)
        # The error's own text is left out, because it quotes the request.
        self.log.info("unreadable request from %s: %s", addr[0], type(error).__name__)
        if not isinstance(error, RequestTimeout):
            connection.read_on()
        connection.refusal = refusal
        self._crowds.take_turn(addr[0])
        with suppress(StopIteration):
            self.handle_request(name, UnreadableRequest(bytes(connection.head)), connection, addr)
        connection.linger()

    @contextmanager
    def _registered(self, connection: Connection) -> Iterator[Connection]:
        self._connections.add(connection)
        try:
            yield connection
        finally:
            self._connections.remove(connection)

    def _counted(self, peer: str) -> AbstractContextManager[None]:
        """Count a connection of an address. Connections of a load balancer are not counted.

        Raises `ConnectionRefusedError` if the address already has half of the connections that a
        process may have.
        """
        if self._is_behind_proxy():
            return nullcontext()
        return self._crowds.counted(peer, self.worker_connections // 2)

    @contextmanager
    def _counted_request(self, request: Any, peer: str) -> Iterator[None]:
        """Behind a load balancer, count the request for its client, and wait for a turn.

        Without a load balancer, `_counted` has counted the connection, which waits for its turns.
        """
        if not self._is_behind_proxy():
            yield
            return
        forwarded = [value for name, value in request.headers if name == "X-FORWARDED-FOR"]
        environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": ",".join(forwarded)}
        client: str = self._of_application("client_address", lambda _: peer)(environ)
        with self._crowds.counted(client):
            self._crowds.take_turn(client)
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: finish requests under way and close connections between requests.

        Requests that wait for news are answered at once; their clients then ask another process.
        """
        super().handle_exit(sig, frame)
        # In a greenlet, because waking takes a lock and a signal handler must not wait for one.
        gevent.spawn(self._of_application("stop", lambda: None))
        for connection in tuple(self._connections):
            if connection.is_idle:
                connection.stop_reading()

    def _is_behind_proxy(self) -> bool:
        return bool(self._of_application("is_behind_proxy", False))

    def _of_application(self, name: str, otherwise: Any) -> Any:
        # Found by name, because the application's modules must not be imported before gevent
        # patches the standard library.
        return getattr(self.wsgi, "extensions", {}).get(name, otherwise)
