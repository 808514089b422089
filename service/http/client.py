"""The client's end of a request, as far as the server below tells the application of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, cast

from flask import request

KEY: Final = "gunicorn.socket"
"""Under this name gunicorn hands on what it reads from and writes to (`entrypoints.connection`)."""


Refusal = tuple[int, str, str]
"""Status, reason and detail of the problem if the server could not read a request."""


class Client(Protocol):
    """The connection a request came on."""

    refusal: Refusal | None
    """Set if the request could not be read: the application only has to say so."""

    def watched(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        """While the context lasts, `gone` is called once if the client closes its connection."""


class SilentClient:
    """Stands in where the server tells nothing of its clients, as in tests over WSGI."""

    refusal: Refusal | None = None

    def watched(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


_SILENT: Final = SilentClient()


def client() -> Client:
    """The client of the request under way."""
    return cast(Client, request.environ.get(KEY, _SILENT))
