"""A span around each request, the root (or, with `traceparent`, the continuation) of its trace."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask, Response, g, request

from service.http.metering import method_and_route
from service.observability import traces


def install(app: Flask) -> None:
    """Must come before what it is to surround."""
    app.before_request(_begin)
    app.after_request(_describe)
    app.teardown_request(_end)


def _begin() -> None:
    if traces.is_on():
        method, route = method_and_route()
        carrier = {"traceparent": request.headers.get("traceparent", "")}
        g.span = ExitStack()
        g.span.enter_context(traces.span(f"{method} {route}", kind="server", carrier=carrier))
        traces.describe(**{"http.request.method": method, "http.route": route})


def _describe(response: Response) -> Response:
    traces.describe(**{"http.response.status_code": response.status_code})
    return response


def _end(_: BaseException | None) -> None:
    if "span" in g:
        g.span.close()
