"""What surrounds every request: its id, its log line, the headers every answer carries."""

from __future__ import annotations

import logging
import time
from typing import Final

from flask import Flask, Response, g, request

from service.http.headers import given_request_id
from service.logs import set_log_context

logger = logging.getLogger("service.requests")

NOTHING_ALLOWED: Final = "default-src 'none'; frame-ancestors 'none'"
QUIET: Final = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by load balancers; their lines would drown the others."""


def install(app: Flask, public_url: str) -> None:
    """Must come first: what is installed later runs inside."""
    always = security_headers(public_url)

    def finish(response: Response) -> Response:
        headers = response.headers
        headers.extend(always)
        if "Content-Security-Policy" not in headers:
            headers.add("Content-Security-Policy", NOTHING_ALLOWED)
        headers.add("X-Request-Id", g.request_id)
        _log(response)
        return response

    app.before_request(_begin)
    app.after_request(finish)


def security_headers(public_url: str) -> list[tuple[str, str]]:
    """An API's answer is never sniffed or cached (OWASP REST Security Cheat Sheet)."""
    headers = [
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
    ]
    if public_url.startswith("https://"):
        # Two years, as browsers' preload lists ask for. Subdomains are not ours to decide about.
        headers.append(("Strict-Transport-Security", "max-age=63072000"))
    return headers


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
            "subject": principal and principal.subject,
        },
    )
