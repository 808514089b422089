"""Calls of unicorns that this process had to refuse: whoever judges silence is told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, Response, g, request

from service.auth.principal import Principal, TokenKind

FLEET: Final = "/v1/fleet"
TOO_MANY: Final = 429
OUR_FAULT: Final = 500
"""Answers from here on are the service's doing, not the caller's."""


def install(app: Flask, refused: Callable[[str | None], None]) -> None:
    """Tell `refused` of each such call: the account that made it, or none if that is not known."""

    def watch(response: Response) -> Response:
        status, route = response.status_code, request.url_rule
        principal: Principal | None = g.get("principal")
        # A stranger who comes too often is nobody's unicorn: anyone could keep us deaf for ever.
        is_refused = status >= OUR_FAULT or (status == TOO_MANY and principal)
        if is_refused and route and route.rule.startswith(FLEET):
            is_driver = principal is not None and principal.kind is TokenKind.USER
            refused(principal.subject if principal and is_driver else None)
        return response

    app.after_request(watch)
