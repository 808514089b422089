"""Counts and times requests, by route as it is declared, never by path."""

from __future__ import annotations

import time
from typing import Final

from flask import Flask, Response, g, request

from service.observability.instruments import IN_FLIGHT, REQUESTS

NO_ROUTE: Final = "none"
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def install(app: Flask) -> None:
    """Must come first: what is installed later is part of the time."""
    app.before_request(_begin)
    app.after_request(_measure)
    app.teardown_request(_end)


def _begin() -> None:
    g.metered_from = time.perf_counter()
    IN_FLIGHT.inc()


def method_and_route() -> tuple[str, str]:
    """Of the request, in words of ours: names that a client made up would be series without end."""
    method = request.method if request.method in METHODS else "other"
    return method, request.url_rule.rule if request.url_rule else NO_ROUTE


def _measure(response: Response) -> Response:
    method, route = method_and_route()
    seconds = time.perf_counter() - g.metered_from
    REQUESTS.labels(method, route, str(response.status_code)).observe(seconds)
    return response


def _end(_: BaseException | None) -> None:
    if "metered_from" in g:
        IN_FLIGHT.dec()
