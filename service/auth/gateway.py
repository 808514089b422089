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
from service.auth.errors import AuthError, AuthUnavailable, Forbidden, InsufficientScope
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
    has_query_token: bool


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

    `policies` is keyed by route: `GET /v1/rides/{ride_id}`. `simple`: answer in the HTTP API's
    short form instead of an IAM policy. The handler raises `Unauthorized` for missing and bad
    tokens, and `AuthUnavailable` if nobody can tell, which API Gateway turns into 500.
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
        asked = _asked(event)
        answer = _simple_answer if simple else _iam_answer
        try:
            return answer(asked, admit(asked), None)
        except (InsufficientScope, Forbidden) as error:
            _log(error)
            return answer(asked, None, error)
        except AuthUnavailable as error:
            _log(error)
            raise
        except AuthError as error:
            _log(error)
            raise Unauthorized from None

    return handle


def _asked(event: Event) -> Asked:
    if event.get("type") == "TOKEN":
        return _asked_by_rest_api(event)
    if event.get("version") == "2.0":
        return _asked_by_http_api(event)
    raise Unauthorized


def _asked_by_rest_api(event: Event) -> Asked:
    """The ARN is `arn:aws:execute-api:region:account:api/stage/METHOD/path`."""
    _stage, method, path = event["methodArn"].split("/", 2)[1:] + [""][: 0]
    return Asked(event["methodArn"], method, f"/{path}", event.get("authorizationToken"), False)
