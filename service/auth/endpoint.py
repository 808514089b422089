"""Fetches one small document by HTTP GET from an address of the settings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from service import addresses
from service.outbound import Outbound, RequestFailed

LARGEST_BODY_BYTES: Final = 64 * 1024


class FetchFailed(Exception):
    """The document could not be fetched: no connection, too late, too large, or not status 200."""


class Endpoint:
    """One address to fetch a document from. A call makes one remote call; raises `FetchFailed`.

    The constructor raises `ValueError` for a plain HTTP address, unless its host is this machine
    or one of `allow_http_hosts`.
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
