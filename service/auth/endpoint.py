"""One HTTP GET of a small document from an address we were configured with, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from service import addresses
from service.outbound import Outbound, RequestFailed

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
        self._url = addresses.protected_url(url, allow_http_hosts)
        self._deadline_seconds = deadline_seconds
        self._outbound = Outbound()

    def __call__(self) -> bytes:
        try:
            status, body = self._outbound.request(
                "GET",
                self._url,
                headers={"Accept": "application/json"},
                seconds=self._deadline_seconds,
                most_bytes=LARGEST_BODY_BYTES,
            )
        except RequestFailed as error:
            raise FetchFailed(str(error)) from None
        if status != 200:
            raise FetchFailed(f"answered {status}")
        return body
