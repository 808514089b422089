"""CORS by named origins, on errors too; only a real preflight is answered without a token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from flask import Flask, Response, request
from flask_cors import CORS

from service.http import headers
from service.http.responses import empty

ALLOWED_HEADERS: Final = (*headers.READ, "X-Amz-Date", "X-Api-Key", "X-Amz-Security-Token")
"""What the service reads, and what a gateway in front of it may want."""

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
        # (an IPv6 address) for patterns. No origin at all must not mean its default, "any".
        origins=[re.compile(rf"{re.escape(origin)}\Z") for origin in origins] or [_NO_ORIGIN],
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        methods=METHODS,
        max_age=PREFLIGHT_SECONDS,
        supports_credentials=False,
        always_send=False,
        # Errors pass through after_request like every answer.
        intercept_exceptions=False,
        # Said on every answer, see `vary_by_origin`.
        vary_header=False,
    )
    app.after_request(vary_by_origin)


def preflight() -> Response | None:
    """The answer to a preflight of any path; anything else is not this module's.

    Without it a page would see a failure of CORS where the answer to its request is a 404.
    """
    if (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    ):
        return empty(204)
    return None


def vary_by_origin(response: Response) -> Response:
    """Also on answers without CORS headers: a cache must not give one origin's to another."""
    response.headers.add("Vary", "Origin")
    return response


_NO_ORIGIN: Final = re.compile(r"(?!)")
