"""What surrounds every request: its id, its log line, the headers every answer carries."""

from __future__ import annotations

import logging
import time
from typing import Final

from flask import Flask, Response, g, request

from service.api.answers import security_headers
from service.api.headers import given_request_id
from service.logs import set_log_context

logger = logging.getLogger("service.requests")

QUIET: Final = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by load balancers; their lines would drown the others."""


def install(app: Flask, public_url: str) -> None:
    """Must come first: what is installed later runs inside."""
    always = security_headers(public_url)

    def finish(response: Response) -> Response:
        headers = response.headers
        for name, value in always:
            headers.setdefault(name, value)
        headers["X-Request-Id"] = g.request_id
        _log(response)
        return response

    app.before_request(_begin)
    app.after_request(finish)


def _begin() -> None:
    g.request_id = given_request_id()
    g.started = time.perf_counter()
    set_log_context(request_id=g.request_id)


def _log(response: Response) -> None:
    level = logging.DEBUG if request.path in QUIET else logging.INFO
    if not logger.isEnabledFor(level):
        return
    rule = request.url_rule
    principal = g.get("principal")
    logger.log(
        level,
        "request",
        extra={
            "method": request.method,
            # Without a route the path may be anything a stranger made up. Never the query.
            "path": rule.rule if rule else request.path[:100],
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - g.started) * 1000, 1),
            "subject": principal and principal.sub,
        },
    )
