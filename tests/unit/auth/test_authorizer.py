"""What the Lambda authorizer answers to API Gateway, with really signed tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from service.api.app import RouteMap, route_map
from service.auth import policy
from service.auth.callers import Authority
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.policy import Policy, Role
from service.auth.principal import Principal
from service.auth.verifier import TokenVerifier
from service.entrypoints.authorizer import Handler, Unauthorized, handler_for
from tests.support.token_mint import CLIENT_ID, MACHINE_ID, Mint

API = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test"
GROUPS = {Role.ADMIN: "admin", Role.DISPATCHER: "dispatcher", Role.UNICORN: "unicorns"}
ADMIN = {"scope": "wildrydes/admin", "groups": ["admin", "owls"]}


class Revocations:
    """Nothing is revoked until an error is put here."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[tuple[Policy, str]] = []

    def check(self, principal: Principal, policy: Policy, method: str, now: datetime) -> None:
        self.asked.append((policy, method))
        if self.error:
            raise self.error


@pytest.fixture
def revocations() -> Revocations:
    return Revocations()


@pytest.fixture(scope="module")
def routes() -> RouteMap:
    return route_map()


@pytest.fixture
def authority(verifier: TokenVerifier, revocations: Any) -> Authority:
    return Authority(verifier=verifier, revoked=revocations)


@pytest.fixture
def handle(authority: Authority, routes: RouteMap) -> Handler:
    return handler_for(authority, routes, GROUPS)


@pytest.fixture
def handle_simply(authority: Authority, routes: RouteMap) -> Handler:
    return handler_for(authority, routes, GROUPS, simple=True)


def rest(request: str, authorization: str) -> dict[str, Any]:
    method, path = request.split(" ")
    return {
        "type": "TOKEN",
        "methodArn": f"{API}/{method}{path}",
        "authorizationToken": authorization,
    }


def http(
    request: str, authorization: str | None, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    method, path = request.split(" ")
    event: dict[str, Any] = {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": f"{API}/{method}{path}",
        "routeKey": "$default",
        "rawPath": f"/test{path}",
        "headers": {"Authorization": authorization} if authorization else {},
        "requestContext": {"http": {"method": method, "path": f"/test{path}"}, "stage": "test"},
    }
    return event | ({"queryStringParameters": dict(query)} if query else {})


def effect(answer: Mapping[str, Any]) -> tuple[str, str]:
    (statement,) = answer["policyDocument"]["Statement"]
    assert answer["policyDocument"]["Version"] == "2012-10-17"
    assert statement["Action"] == "execute-api:Invoke"
    return statement["Effect"], statement["Resource"]


@pytest.mark.parametrize("event", [rest, http])
def test_a_satisfied_policy_allows_exactly_this_request(
    handle: Handler, mint: Mint, event: Any
) -> None:
    answer = handle(event("GET /v1/rides/ride-1", f"Bearer {mint.access_token()}"), None)
    assert effect(answer) == ("Allow", f"{API}/GET/v1/rides/ride-1")


def test_the_context_names_the_caller(handle: Handler, mint: Mint) -> None:
    token = mint.access_token(sub="admin-1", username="admin-1", **ADMIN)
    answer = handle(rest("POST /v1/admin/unicorns", f"Bearer {token}"), None)
    assert answer["principalId"] == "admin-1"
    assert answer["context"] == {
        "sub": "admin-1",
        "kind": "user",
        "client_id": CLIENT_ID,
        "username": "admin-1",
        "scopes": "wildrydes/admin",
        "groups": "admin owls",
    }


def test_the_context_has_all_scopes_and_the_kind_of_a_machine(handle: Handler, mint: Mint) -> None:
    token = mint.machine_token(scope="wildrydes/fleet.telemetry wildrydes/admin")
    context = handle(http("POST /v1/fleet/positions", f"Bearer {token}"), None)["context"]
    assert context["scopes"] == "wildrydes/admin wildrydes/fleet.telemetry"
    assert (context["kind"], context["sub"]) == ("machine", MACHINE_ID)
    assert (context["username"], context["groups"]) == ("", "")


def test_simple_answers_say_the_same(handle_simply: Handler, mint: Mint) -> None:
    bearer = f"Bearer {mint.access_token(sub='rider-1')}"
    answer = handle_simply(http("POST /v1/rides", bearer), None)
    assert answer["isAuthorized"] is True
    assert answer["context"]["sub"] == "rider-1"
    assert handle_simply(http("POST /v1/admin/unicorns", bearer), None) == {
        "isAuthorized": False,
        "context": {"reason": "insufficient_scope"},
    }


def test_a_rest_api_gets_a_policy_in_any_case(handle_simply: Handler, mint: Mint) -> None:
    answer = handle_simply(rest("GET /v1/rides", f"Bearer {mint.access_token()}"), None)
    assert effect(answer) == ("Allow", f"{API}/GET/v1/rides")


@pytest.mark.parametrize("event", [rest, http])
@pytest.mark.parametrize(
    ("request_line", "claims", "reason"),
    [
        ("POST /v1/rides", {"scope": "wildrydes/rides.read"}, "insufficient_scope"),
        ("POST /v1/admin/unicorns", ADMIN | {"groups": ["dispatcher"]}, "forbidden"),
        ("POST /v1/fleet/positions", {"scope": "wildrydes/fleet.telemetry"}, "forbidden"),
    ],
)
def test_a_caller_without_the_rights_is_denied(
    handle: Handler, mint: Mint, event: Any, request_line: str, claims: Any, reason: str
) -> None:
    answer = handle(event(request_line, f"Bearer {mint.access_token(**claims)}"), None)
    assert effect(answer) == ("Deny", f"{API}/{request_line.replace(' ', '')}")
    assert answer["context"] == {"reason": reason}


@pytest.mark.parametrize("event", [rest, http])
@pytest.mark.parametrize(
    "request_line",
    [
        "DELETE /v1/rides",
        "get /v1/rides",
        "GET /v1/rides/",
        "GET //v1/rides",
        "GET /v1/rides/*",
        "GET /v1/rides/?",
        "GET /v1/rides/${x}",
        "POST /v1/fleet/me/rides/r1/fly",
        "GET /v1/rides/a%2Fb",
        "GET /v1/rides/a/b",
        "GET /v1/rides/..",
        "GET /v1/rides/" + "a" * 65,
        "GET /v1/rides\n",
        "GET /v1x1",
        "GET /x/v1/rides",
        "GET /nothing",
        "OPTIONS /v1/rides",
    ],
)
def test_a_request_without_a_route_is_denied_to_everyone(
    handle: Handler, mint: Mint, event: Any, request_line: str
) -> None:
    claims = ADMIN | {"scope": " ".join(policy.SCOPES)}
    answer = handle(event(request_line, f"Bearer {mint.access_token(**claims)}"), None)
    assert effect(answer)[0] == "Deny"


def test_a_second_token_in_the_query_is_refused(handle_simply: Handler, mint: Mint) -> None:
    event = http("GET /v1/rides", f"Bearer {mint.access_token()}", {"access_token": "x"})
    assert handle_simply(event, None) == {
        "isAuthorized": False,
        "context": {"reason": "malformed_header"},
    }


def test_revocations_are_checked_by_the_policy_of_the_route(
    handle: Handler, mint: Mint, revocations: Revocations
) -> None:
    bearer = f"Bearer {mint.access_token()}"
    handle(rest("POST /v1/rides", bearer), None)
    assert revocations.asked == [(policy.RIDES_WRITE, "POST")]
    revocations.error = InvalidToken("revoked")
    with pytest.raises(Unauthorized):
        handle(rest("POST /v1/rides", bearer), None)
    assert effect(handle(http("POST /v1/rides", bearer), None))[0] == "Deny"


@pytest.mark.parametrize("event", [rest, http])
def test_unknown_revocations_are_an_error_and_no_refusal(
    handle_simply: Handler, mint: Mint, revocations: Revocations, event: Any
) -> None:
    revocations.error = AuthUnavailable(1)
    with pytest.raises(AuthUnavailable):
        handle_simply(event("POST /v1/rides", f"Bearer {mint.access_token()}"), None)


def test_a_public_route_needs_no_token(handle: Handler, revocations: Revocations) -> None:
    assert effect(handle(http("GET /healthz", None), None)) == ("Allow", f"{API}/GET/healthz")
    assert revocations.asked == []


def test_the_default_stage_is_no_part_of_the_path(handle_simply: Handler, mint: Mint) -> None:
    event = http("GET /v1/rides", f"Bearer {mint.access_token()}")
    event["requestContext"] = {"http": {"method": "GET", "path": "/v1/rides"}, "stage": "$default"}
    assert handle_simply(event, None)["isAuthorized"] is True


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"version": "1.0", "type": "REQUEST", "methodArn": f"{API}/GET/v1/rides"},
        {"type": "TOKEN", "methodArn": "nonsense", "authorizationToken": "Bearer x"},
        {"version": "2.0", "type": "REQUEST"},
    ],
)
def test_an_event_of_another_shape_is_no_way_in(handle: Handler, event: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        handle(event, None)


def test_the_clock_decides_when_a_token_has_ended(
    authority: Authority, routes: RouteMap, mint: Mint
) -> None:
    claims = mint.claims()
    at = datetime.fromtimestamp(claims["exp"], UTC)
    handle = handler_for(authority, routes, GROUPS, now=lambda: at)
    with pytest.raises(Unauthorized):
        handle(rest("GET /v1/rides", f"Bearer {mint.signed(claims)}"), None)


@pytest.mark.parametrize(
    "catch_all", ["$default", "$default/$default", "ANY/{proxy+}", "GET/*", "GET/v1/{proxy+}"]
)
def test_a_route_wider_than_the_request_is_never_allowed(
    handle: Handler, mint: Mint, catch_all: str
) -> None:
    event = http("GET /v1/rides", f"Bearer {mint.access_token()}")
    wide = event | {"routeArn": f"{API}/{catch_all}"}
    assert effect(handle(event, None))[0] == "Allow"
    assert effect(handle(wide, None))[0] == "Deny"
