"""An API Gateway Lambda authorizer on the API's own verifier, revocations and policies.

Takes the payload of a REST API's TOKEN authorizer and format 2.0 of an HTTP API's:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html

What no policy names is denied, and what is allowed is the one request that was asked about.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from service.auth.bearer import token_from
from service.auth.errors import AuthError, AuthUnavailable, Forbidden
from service.auth.policy import Policy, Role, judge
from service.auth.principal import Principal

logger = logging.getLogger(__name__)

Event = Mapping[str, Any]
Answer = dict[str, Any]
Handler = Callable[[Event, object], Answer]

_PARAMETER: Final = re.compile(r"\\{\w+\\}")
_ID: Final = "[A-Za-z0-9_-]{1,64}"
"""What may stand for a parameter. No `%`, which the API behind might decode to another path, and
no `*`, which an IAM policy would read as a pattern."""


class Unauthorized(Exception):
    """API Gateway answers 401 if the message is exactly this class's name, else 500."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class Verifier(Protocol):
    """Turns a token into the principal it proves; raises `AuthError`."""

    def verify(self, token: str, now: float) -> Principal: ...


class Revocations(Protocol):
    """Raises `AuthError` for a revoked token, or an unknown one where that matters."""

    def check(self, principal: Principal, policy: Policy, method: str, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that API Gateway asks about."""

    arn: str
    method: str
    path: str
    authorization: str | None
    has_query_token: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the request may pass, for whom, and what the API behind is told of it."""

    is_allowed: bool
    caller: str
    context: Mapping[str, str]


def handler_for(
    verifier: Verifier,
    revocations: Revocations,
    policies: Mapping[str, Policy],
    role_groups: Mapping[Role, str],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    simple: bool = False,
) -> Handler:
    """A Lambda handler that lets pass what `policies` lets pass.

    `policies` is keyed by route, as in `GET /v1/rides/{ride_id}`. With `simple`, HTTP APIs get the
    short form of the answer instead of an IAM policy. The handler raises `Unauthorized` to a REST
    API, `AuthUnavailable` if nobody can tell, and whatever an event of another shape causes.
    """
    routes = [(_pattern(route), policy) for route, policy in policies.items()]

    def admit(asked: Asked) -> Principal | None:
        policy = _policy(routes, asked)
        if policy.is_public:
            return None
        instant = now()
        token = token_from(asked.authorization, asked.has_query_token)
        principal = verifier.verify(token, instant.timestamp())
        revocations.check(principal, policy, asked.method, instant)
        judge(policy, principal, role_groups)
        return principal

    def handle(event: Event, context: object) -> Answer:
        is_rest = event.get("type") == "TOKEN"
        asked = _asked_by_rest_api(event) if is_rest else _asked_by_http_api(event)
        try:
            verdict = _allowed(admit(asked))
        except AuthError as error:
            logger.info("refused", extra={"reason": error.reason, "cause": str(error)})
            verdict = _refused(error, is_rest)
        if simple and not is_rest:
            return {"isAuthorized": verdict.is_allowed, "context": verdict.context}
        return _iam_policy(asked, verdict)

    return handle


def _asked_by_rest_api(event: Event) -> Asked:
    arn = event["methodArn"]
    _api, _stage, method, path = arn.split("/", 3)
    return Asked(arn, method, f"/{path}", event["authorizationToken"])


def _asked_by_http_api(event: Event) -> Asked:
    if event["version"] != "2.0":
        raise ValueError("not an event of format 2.0")
    request, stage = event["requestContext"]["http"], event["requestContext"]["stage"]
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return Asked(
        event["routeArn"],
        request["method"],
        # The path begins with the stage, unless that is the default one.
        _without_stage(request["path"], stage),
        headers.get("authorization"),
        "access_token" in (event.get("queryStringParameters") or ()),
    )


def _without_stage(path: str, stage: str) -> str:
    return path.removeprefix(f"/{stage}") if path.startswith(f"/{stage}/") else path


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(_ID, re.escape(route)))


def _policy(routes: list[tuple[re.Pattern[str], Policy]], asked: Asked) -> Policy:
    # Flask answers HEAD wherever it answers GET.
    method = "GET" if asked.method == "HEAD" else asked.method
    for pattern, policy in routes:
        if pattern.fullmatch(f"{method} {asked.path}"):
            return policy
    raise Forbidden("no such route")


def _allowed(principal: Principal | None) -> Verdict:
    if principal is None:
        return Verdict(True, "anyone", {})
    context = {
        "sub": principal.subject,
        "kind": principal.kind.value,
        "client_id": principal.client_id,
        "username": principal.username or "",
        "scopes": " ".join(sorted(principal.scopes)),
        "groups": " ".join(sorted(principal.groups)),
    }
    return Verdict(True, principal.subject, context)


def _refused(error: AuthError, is_rest: bool) -> Verdict:
    """A denial, which becomes 403; or another exception, if the caller should get 401 or 5xx."""
    if isinstance(error, AuthUnavailable):
        raise error
    if is_rest and error.status != Forbidden.status:
        raise Unauthorized from None
    return Verdict(False, "nobody", {"reason": error.reason})


def _names_one_request(asked: Asked) -> bool:
    """Not a catch-all such as `ANY/{proxy+}` or `$default`: allowing that would allow all of it."""
    _api, _stage, asked_for = asked.arn.split("/", 2)
    return asked_for == f"{asked.method}{asked.path}" and "*" not in asked_for


def _iam_policy(asked: Asked, verdict: Verdict) -> Answer:
    is_allowed = verdict.is_allowed and _names_one_request(asked)
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow" if is_allowed else "Deny",
        "Resource": asked.arn,
    }
    return {
        "principalId": verdict.caller,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": verdict.context,
    }
