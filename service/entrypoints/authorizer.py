"""The API Gateway Lambda authorizer: `handle`, and `handle_simply` for simple responses.

It finds the route in the application's URL map and judges the credentials with the guard's own
function, so it admits what the API would admit, as far as the event shows the request (a REST event
has no query string). Event formats:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html

The settings are read at the first event. `service/auth/GATEWAY.md` lists what it needs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from werkzeug.exceptions import HTTPException

from service.api.app import RouteMap, route_map
from service.auth.callers import Authority, caller_of
from service.auth.errors import (
    AuthError,
    AuthUnavailable,
    Forbidden,
    InsufficientScope,
    TokenTooLarge,
)
from service.auth.policy import Role, authorize
from service.auth.principal import Principal
from service.authority import build_authority
from service.http.guard import groups_of
from service.http.paths import canonical_path
from service.http.route import Route, is_id
from service.settings import ApiSettings, load

logger = logging.getLogger(__name__)

Event = Mapping[str, Any]
Answer = dict[str, Any]
Handler = Callable[[Event, object], Answer]


class Unauthorized(Exception):
    """API Gateway answers 401 if the message is exactly this class's name, otherwise 500."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One request that API Gateway asks the authorizer about."""

    arn: str
    method: str
    path: str
    authorization: str | None
    has_query_token: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the request may pass, who calls, and the context that API Gateway passes on."""

    is_allowed: bool
    caller: str
    context: Mapping[str, str]


def handle(event: Event, context: object) -> Answer:
    """Answers a REST API's TOKEN authorizer, or an HTTP API's authorizer with an IAM policy."""
    return _handler(simple=False)(event, context)


def handle_simply(event: Event, context: object) -> Answer:
    """Answers an HTTP API's authorizer with simple responses."""
    return _handler(simple=True)(event, context)


@cache
def _handler(*, simple: bool) -> Handler:
    settings = load(ApiSettings)
    authority = build_authority(settings)
    return handler_for(authority, route_map(), groups_of(settings), simple=simple)


def handler_for(
    authority: Authority,
    routes: RouteMap,
    role_groups: Mapping[Role, str],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    simple: bool = False,
) -> Handler:
    """A Lambda handler that admits the requests that the API's guard would admit.

    With `simple`, HTTP APIs get the short form of the answer instead of an IAM policy. The handler
    raises `Unauthorized` for a REST API, `AuthUnavailable` if keys, revocations or STS are
    not available, and `KeyError` or `ValueError` for an event of another shape.
    """

    def admit(request: GatewayRequest) -> Principal | None:
        route = _route(routes, request)
        if route.policy.is_public:
            return None
        instant = now()
        principal = caller_of(
            authority,
            route.policy,
            request.authorization,
            request.has_query_token,
            instant.timestamp(),
        )
        authority.revoked.check(principal, route.policy, request.method, instant)
        authorize(route.policy, principal, role_groups)
        return principal

    def handle(event: Event, context: object) -> Answer:
        is_rest = event.get("type") == "TOKEN"
        request = _request_of_rest_api(event) if is_rest else _request_of_http_api(event)
        try:
            decision = _allowed(admit(request))
        except AuthError as error:
            logger.info("refused", extra={"reason": error.reason, "cause": str(error)})
            decision = _refused(error, is_rest)
        if simple and not is_rest:
            return {"isAuthorized": decision.is_allowed, "context": decision.context}
        return _iam_policy(request, decision)

    return handle


def _request_of_rest_api(event: Event) -> GatewayRequest:
    arn = event["methodArn"]
    _api, _stage, method, path = arn.split("/", 3)
    return GatewayRequest(arn, method, f"/{path}", event["authorizationToken"])


def _request_of_http_api(event: Event) -> GatewayRequest:
    if event["version"] != "2.0":
        raise ValueError("not an event of format 2.0")
    http, stage = event["requestContext"]["http"], event["requestContext"]["stage"]
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return GatewayRequest(
        event["routeArn"],
        http["method"],
        # The path begins with the stage, unless it is the default stage.
        _without_stage(http["path"], stage),
        headers.get("authorization"),
        "access_token" in (event.get("queryStringParameters") or ()),
    )


def _without_stage(path: str, stage: str) -> str:
    return path.removeprefix(f"/{stage}") if path.startswith(f"/{stage}/") else path


def _route(routes: RouteMap, request: GatewayRequest) -> Route:
    """The route that the application would choose. Raises `Forbidden` if it would find none."""
    if canonical_path(request.path) != request.path:
        raise Forbidden("no such route")
    try:
        endpoint, arguments = routes.urls.match(request.path, request.method)
    except HTTPException:
        raise Forbidden("no such route") from None
    route = routes.declared[endpoint]
    # The URL map ignores the case of methods, but HTTP does not.
    if request.method not in {route.method, "HEAD"}:
        raise Forbidden("no such route")
    # The API checks ids after its guard; the authorizer must refuse a bad id itself.
    if not all(is_id(arguments[name]) for name in route.ids):
        raise Forbidden("no such route")
    return route


def _allowed(principal: Principal | None) -> Decision:
    if principal is None:
        return Decision(True, "anyone", {})
    context = {
        "sub": principal.subject,
        "kind": principal.kind.value,
        "client_id": principal.client_id,
        "username": principal.username or "",
        "scopes": " ".join(sorted(principal.scopes)),
        "groups": " ".join(sorted(principal.groups)),
    }
    return Decision(True, principal.subject, context)


def _refused(error: AuthError, is_rest: bool) -> Decision:
    """A denial, which becomes 403. Raises another exception if the caller should get 401 or 5xx.

    A token that is too large is a denial, because after a 401 an app would sign in again and again.
    """
    if isinstance(error, AuthUnavailable):
        raise error
    if is_rest and not isinstance(error, (Forbidden, InsufficientScope, TokenTooLarge)):
        raise Unauthorized from None
    return Decision(False, "nobody", {"reason": error.reason})


def _names_one_request(request: GatewayRequest) -> bool:
    """Whether the ARN names this request only.

    A policy must not allow a route that is wider than the request (`ANY/{proxy+}`, `$default`),
    because it would allow everything behind that route. A canonical path has no character that is
    a wildcard in a policy's Resource.
    """
    _api, _stage, path = request.arn.split("/", 2)
    return path == f"{request.method}{request.path}"


def _iam_policy(request: GatewayRequest, decision: Decision) -> Answer:
    is_allowed = decision.is_allowed and _names_one_request(request)
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if is_allowed else "Deny",
        "Resource": request.arn,
    }
    return {
        "principalId": decision.caller,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": decision.context,
    }
