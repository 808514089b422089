"""A small HTTP server of a test's own."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class QuietHandler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests have no use for it."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that gives up on the server is what many tests are about.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class LocalServer:
    """Answers over real HTTP on a free port of 127.0.0.1; a context manager."""

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], *, clients_keep_alive: bool = False
    ) -> None:
        """`clients_keep_alive`: their threads end with their connections, not with the server."""
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = clients_keep_alive
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def release(self) -> None:
        """Let go whoever is kept waiting, so that the server can end."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
