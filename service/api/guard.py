"""The guard: nothing behind a policy is reached without a token that satisfies it.

It runs before the body is read. An endpoint it does not know is refused, not let through.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from flask import Flask, Response, g, request

from service.api import cors
from service.api.context import Dependencies
from service.api.problems import Problem
from service.api.routing import Route
from service.auth import bearer
from service.auth.errors import (
    AuthError,
    AuthUnavailable,
    Forbidden,
    InsufficientScope,
    InvalidToken,
    MalformedHeader,
    MissingToken,
)
from service.auth.policy import Policy, Role, judge
from service.auth.principal import Principal
from service.settings import ApiSettings

logger = logging.getLogger(__name__)

METADATA_PATH: Final = "/.well-known/oauth-protected-resource"

DETAILS: Final[Mapping[type[AuthError], str]] = {
    MissingToken: "Send an access token as Authorization: Bearer.",
    MalformedHeader: "Send exactly one bearer token, in the Authorization header only.",
    InvalidToken: "The access token is not valid.",
    InsufficientScope: "The access token lacks a scope this needs.",
    Forbidden: "This is not for you.",
    AuthUnavailable: "Access tokens cannot be checked at the moment; try again.",
}
"""One text per refusal: what exactly was wrong with a token is for the log only."""


def install(app: Flask, routes: Mapping[str, Route], deps: Dependencies) -> None:
    """Judge each request by its route's policy."""
    groups = groups_of(deps.settings)
    metadata_url = f"{deps.settings.public_url}{METADATA_PATH}"

    def guard() -> Response | None:
        if request.routing_exception is not None:
            # 404 and 405 come first: Flask raises them next, unless this is a preflight.
            return cors.preflight()
        route = routes[request.endpoint or ""]
        if not route.policy.is_public:
            g.principal = _admit(route.policy, groups, deps)
        return None

    def refuse(error: AuthError) -> Response:
        return _refusal(error, metadata_url)

    app.before_request(guard)
    app.register_error_handler(AuthError, refuse)


def groups_of(settings: ApiSettings) -> Mapping[Role, str]:
    """Which group of the user pool stands for each role."""
    return {
        Role.ADMIN: settings.admin_group,
        Role.DISPATCHER: settings.dispatcher_group,
        Role.UNICORN: settings.unicorn_group,
    }


def _admit(policy: Policy, groups: Mapping[Role, str], deps: Dependencies) -> Principal:
    header = request.environ.get("HTTP_AUTHORIZATION")
    token = bearer.token_from(header, has_query_token="access_token" in request.args)
    principal = deps.verifier.verify(token, deps.now().timestamp())
    judge(policy, principal, groups)
    return principal


def _refusal(error: AuthError, metadata_url: str) -> Response:
    logger.info("refused", extra={"reason": error.reason, "cause": str(error)})
    headers = {}
    challenge = bearer.challenge(error, metadata_url)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, AuthUnavailable):
        headers["Retry-After"] = str(error.retry_after)
    return Problem(error.status, error.reason, DETAILS[type(error)], headers=headers).response()
