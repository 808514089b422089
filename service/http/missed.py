"""Reports each call of a unicorn that this process refused, so that it does not count as silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, Response, g, request

from service.auth.principal import Principal, TokenKind

FLEET: Final = "/v1/fleet"
TOO_MANY: Final = 429
OUR_FAULT: Final = 500
"""From this status on the failure is the service's, not the caller's."""


def install(app: Flask, refused: Callable[[str | None], None]) -> None:
    """Call `refused` for each such call, with the caller's account, or None if it is unknown."""

    def watch(response: Response) -> Response:
        status, route = response.status_code, request.url_rule
        principal: Principal | None = g.get("principal")
        # A 429 without a principal does not count: else anybody could make us count as deaf.
        is_refused = status >= OUR_FAULT or (status == TOO_MANY and principal)
        if is_refused and route and route.rule.startswith(FLEET):
            is_driver = principal is not None and principal.kind is TokenKind.USER
            refused(principal.subject if principal and is_driver else None)
        return response

    app.after_request(watch)
