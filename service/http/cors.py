"""CORS for the origins in the settings, on errors too; preflights need no token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from flask import Flask, Response, request
from flask_cors import CORS

from service.http import headers
from service.http.responses import empty

ALLOWED_HEADERS: Final = (*headers.READ, "X-Amz-Date", "X-Api-Key", "X-Amz-Security-Token")
"""The headers that the service reads, and those that a gateway in front of it may read."""

EXPOSED_HEADERS: Final = (
    "ETag",
    "Location",
    "Retry-After",
    "X-Request-Id",
    "Idempotency-Replayed",
    "Preference-Applied",
    "WWW-Authenticate",
    "RateLimit",
    "RateLimit-Policy",
)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PREFLIGHT_SECONDS: Final = 600


def install(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of exactly these origins call, without credentials mode."""
    CORS(
        app,
        # As patterns: flask-cors compares plain strings without regard to case, and takes some
        # (an IPv6 address) for patterns. To flask-cors, an empty list would mean any origin.
        origins=[re.compile(rf"{re.escape(origin)}\Z") for origin in origins] or [_NO_ORIGIN],
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        methods=METHODS,
        max_age=PREFLIGHT_SECONDS,
        supports_credentials=False,
        # Errors pass through after_request like every answer.
        intercept_exceptions=False,
        # `vary_by_origin` adds the header to every answer.
        vary_header=False,
    )
    app.after_request(vary_by_origin)


def preflight() -> Response | None:
    """The answer to a preflight request for any path; None if the request is not a preflight.

    Unknown paths are answered too, so that a page sees the 404 and not a CORS error.
    """
    if (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    ):
        return empty(204)
    return None


def vary_by_origin(response: Response) -> Response:
    """Add `Vary: Origin` to every answer, so that no cache serves it to another origin."""
    response.headers.add("Vary", "Origin")
    return response


_NO_ORIGIN: Final = re.compile(r"(?!)")
