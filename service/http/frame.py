"""What every request gets: an id, a log line, metrics, a trace, and headers on its answer.

A refused call of a unicorn is reported from here too (`report_refused_calls`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Final

from flask import Flask, Response, g, request

from service.auth.principal import Principal, TokenKind
from service.http.context import client
from service.http.headers import given_request_id, trace_carrier
from service.http.problems import Problem
from service.logs import set_log_context
from service.observability import traces
from service.observability.instruments import IN_FLIGHT, REQUESTS

logger = logging.getLogger("service.requests")

UNLESS_SET: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every answer, unless its route sets them itself."""

QUIET: Final = frozenset({"/healthz", "/readyz"})
"""Paths that load balancers call every few seconds; they are logged at DEBUG only."""

POSITIONS: Final = frozenset({"/v1/fleet/me/position"})
"""Paths that are called thousands of times a second; an accepted call is logged at DEBUG only."""

FLEET: Final = "/v1/fleet"
TOO_MANY: Final = 429
OUR_FAULT: Final = 500
"""From this status on the failure is the service's, not the caller's."""

NO_ROUTE: Final = "none"
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def install(app: Flask, public_url: str) -> None:
    """Register the outermost hooks; call it before all other `install` functions."""
    always = security_headers(public_url)

    def finish(response: Response) -> Response:
        headers = response.headers
        headers.extend(always)
        for name, value in UNLESS_SET:
            if name not in headers:
                headers.add(name, value)
        headers.add("X-Request-Id", g.request_id)
        _observe(response)
        return response

    app.wsgi_app = _adapted(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(_begin)
    app.after_request(finish)
    app.teardown_request(_end)


def report_refused_calls(app: Flask, refused: Callable[[str | None], None]) -> None:
    """Call `refused` for each refused call of a unicorn, so that it does not count as silent.

    The argument is the caller's account, or None if it is unknown.
    """

    def watch(response: Response) -> Response:
        status, route = response.status_code, request.url_rule
        principal: Principal | None = g.get("principal")
        # A 429 without a principal does not count: else anybody could make this process seem deaf.
        is_refused = status >= OUR_FAULT or (status == TOO_MANY and principal)
        if is_refused and route and route.rule.startswith(FLEET):
            is_driver = principal is not None and principal.kind is TokenKind.USER
            refused(principal.subject if principal and is_driver else None)
        return response

    app.after_request(watch)


def security_headers(public_url: str) -> list[tuple[str, str]]:
    """The security headers of an API (OWASP REST Security Cheat Sheet)."""
    headers = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
    if public_url.startswith("https://"):
        # Two years, as browsers' preload lists require. Not for subdomains, which may not be ours.
        headers.append(("Strict-Transport-Security", "max-age=63072000"))
    return headers


def _adapted(serve: Callable[..., Any]) -> Callable[..., Any]:
    """Adapt each request to werkzeug's router.

    `Upgrade` is ignored, as a server may (RFC 9110, 7.8); the router would look for WebSockets. An
    empty path means "/" (RFC 9110, 4.2.3); the router would redirect, to the host in `Host`.
    """

    def serve_plainly(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ.pop("HTTP_UPGRADE", None)
        environ["PATH_INFO"] = environ["PATH_INFO"] or "/"
        answer: Iterable[bytes] = serve(environ, start_response)
        return answer

    return serve_plainly


def _begin() -> None:
    g.started = time.perf_counter()
    g.request_id = given_request_id()
    set_log_context(request_id=g.request_id)
    IN_FLIGHT.inc()
    if traces.is_on():
        method, route = _method_and_route()
        g.span = ExitStack()
        g.span.enter_context(
            traces.span(f"{method} {route}", kind="server", carrier=trace_carrier())
        )
        traces.describe(**{"http.request.method": method, "http.route": route})
    refusal = client().refusal
    if refusal:
        raise Problem(*refusal)


def _end(_: BaseException | None) -> None:
    if "started" in g:
        IN_FLIGHT.dec()
    if "span" in g:
        g.span.close()


def _method_and_route() -> tuple[str, str]:
    """Method and route as labels: a bounded set, whatever paths and methods clients make up."""
    method = request.method if request.method in METHODS else "other"
    return method, request.url_rule.rule if request.url_rule else NO_ROUTE


def _observe(response: Response) -> None:
    """Count and time the request by its declared route, describe its span, write its log line."""
    method, route = _method_and_route()
    seconds = time.perf_counter() - g.started
    waited = "yes" if g.get("waited") else "no"
    REQUESTS.labels(method, route, str(response.status_code), waited).observe(seconds)
    traces.describe(**{"http.response.status_code": response.status_code})
    is_usual = response.status_code < 400 and route in POSITIONS
    level = logging.DEBUG if is_usual or request.path in QUIET else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(level, "request", extra=_line(response, seconds))


def _line(response: Response, seconds: float) -> dict[str, object]:
    rule, principal = request.url_rule, g.get("principal")
    return {
        "method": request.method,
        # A path without a route can be anything, so it is cut. The query is never logged.
        "path": rule.rule if rule else request.path[:100],
        "status": response.status_code,
        "milliseconds": round(seconds * 1000, 1),
        "subject": principal and principal.subject,
    }
