"""The client of a request, as the server shows it to the application."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, cast

from flask import request

KEY: Final = "gunicorn.socket"
"""The WSGI variable in which gunicorn passes the connection (`entrypoints.connection`)."""


Refusal = tuple[int, str, str]
"""Status, reason and detail of the answer to a request that the server could not read."""


class Client(Protocol):
    """The connection on which a request came."""

    refusal: Refusal | None
    """Set if the server could not read the request; the application then answers with it."""

    def watched(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        """While the context lasts, `gone` is called once if the client closes its connection."""


class SilentClient:
    """Used where the server passes no connection, as in tests over WSGI."""

    refusal: Refusal | None = None

    def watched(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


_SILENT: Final = SilentClient()


def client() -> Client:
    """The client of the current request."""
    return cast(Client, request.environ.get(KEY, _SILENT))
