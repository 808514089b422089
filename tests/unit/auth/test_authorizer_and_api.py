"""The gateway's authorizer and the API's guard decide alike, on every route, for everybody."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response

from service.api.app import route_map
from service.auth.callers import Authority
from service.auth.claims import AccessClaims
from service.auth.errors import AuthError
from service.auth.id_tokens import AccessOrIdClaims
from service.auth.keys import PinnedKeys
from service.auth.policy import SCOPES
from service.auth.revocation import RevocationCheck
from service.auth.verifier import TokenVerifier
from service.authority import build_authority
from service.entrypoints.authorizer import Handler, Unauthorized, handler_for
from service.http.guard import groups_of
from service.settings import ApiSettings
from tests.support.api import SETTINGS, build_api
from tests.support.builders import NOW
from tests.support.fakes_oversight import FakeRevocations
from tests.support.token_mint import CLIENT_ID, ISSUER, MACHINE_ID, Mint

API = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
EVERYTHING = " ".join(SCOPES)


def paths() -> Iterator[str]:
    """A path of every rule, with each step of those that name several."""
    for route in route_map().declared.values():
        steps = re.search(r"<any\(([\w,]+)\):\w+>", route.rule)
        for step in steps[1].split(",") if steps else [""]:
            path = re.sub(r"<any\([\w,]+\):\w+>", step, route.rule)
            yield re.sub(r"<(?:string:)?\w+>", "id-1", path)


PATHS = sorted({*paths(), "/", "/v1/rides/", "/v1/fleet/me/rides/r1/fly", "/v2/rides", "/V1/rides"})


def credentials(mint: Mint) -> Mapping[str, str | None]:
    """The `Authorization` header of every kind of caller."""
    rider = mint.access_token()
    id_token = {"token_use": "id", "aud": CLIENT_ID, "cognito:username": "rider", "scope": "x"}
    tokens = {
        "rider": rider,
        "admin": mint.access_token(scope=EVERYTHING, groups=["admin"]),
        "dispatcher": mint.access_token(scope=EVERYTHING, groups=["dispatcher"]),
        "driver": mint.access_token(scope="wildrydes/fleet.drive", groups=["unicorns"]),
        "a driver in no group": mint.access_token(scope="wildrydes/fleet.drive"),
        "a machine": mint.machine_token(),
        "a machine with every scope": mint.machine_token(scope=EVERYTHING),
        "a token above 7 KiB": mint.access_token(groups=[f"group-{n:060}" for n in range(100)]),
        "forged": rider[:-8] + "AAAAAAAA",
        "expired": mint.access_token(exp=1),
        "none": "",
        "no token": "a.b.c",
        "an ID token": mint.access_token(**id_token),
    }
    return {
        "nobody": None,
        "a scheme of another kind": "Basic dXNlcjpwYXNz",
        "two tokens": f"Bearer {rider}, Bearer {rider}",
        "a bare token": rider,
        **{name: f"Bearer {token}" for name, token in tokens.items()},
    }


@pytest.fixture(scope="session")
def mint() -> Mint:
    """Issues tokens at the time at which the API under test lives."""
    return Mint(clock=NOW.timestamp)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "workshop"])
def authority(request: pytest.FixtureRequest, key_file: Path) -> Authority:
    """With and without ID tokens of the workshop's page."""
    keys, pool = PinnedKeys(key_file), {"issuers": (ISSUER,), "client_ids": (CLIENT_ID, MACHINE_ID)}
    return Authority(
        verifier=TokenVerifier(keys, AccessClaims(**pool)),
        id_tokens=TokenVerifier(keys, AccessOrIdClaims(**pool)) if request.param else None,
        revoked=RevocationCheck(FakeRevocations()),
    )


@pytest.fixture(scope="module")
def app(authority: Authority) -> Flask:
    """The real application, whose views all answer 204: what reaches one was admitted."""
    api = build_api(
        verifier=authority.verifier, id_tokens=authority.id_tokens, rate_limit_enabled=False
    )
    for endpoint in api.app.view_functions:
        api.app.view_functions[endpoint] = lambda **_: Response(status=204)
    return api.app


@pytest.fixture(scope="module")
def handle(authority: Authority) -> Handler:
    groups = groups_of(ApiSettings(**SETTINGS))
    return handler_for(authority, route_map(), groups, now=lambda: NOW)


def decided_by_api(app: Flask, method: str, path: str, authorization: str | None) -> str:
    headers = {"Authorization": authorization} if authorization else {}
    status = app.test_client().open(path, method=method, headers=headers).status_code
    return {204: "Allow", 400: "401", 401: "401"}.get(status, "Deny")


def decided_by_rest(handle: Handler, method: str, path: str, authorization: str) -> str:
    arn = f"{API}/{method}{path}"
    event = {"type": "TOKEN", "methodArn": arn, "authorizationToken": authorization}
    try:
        return str(handle(event, None)["policyDocument"]["Statement"][0]["Effect"])
    except Unauthorized:
        return "401"


def decided_by_http(handle: Handler, method: str, path: str, authorization: str | None) -> str:
    event: dict[str, Any] = {
        "version": "2.0",
        "routeArn": f"{API}/{method}{path}",
        "headers": {"authorization": authorization} if authorization else {},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
    }
    return str(handle(event, None)["policyDocument"]["Statement"][0]["Effect"])


@pytest.mark.parametrize("path", PATHS)
def test_every_caller_is_admitted_or_refused_as_over_http(
    app: Flask, handle: Handler, mint: Mint, path: str
) -> None:
    for method in METHODS:
        for caller, authorization in credentials(mint).items():
            wanted = decided_by_api(app, method, path, authorization)
            case = f"{method} {path} by {caller}"
            over_http = decided_by_http(handle, method, path, authorization)
            assert over_http == wanted.replace("401", "Deny"), case
            # A REST API does not ask a TOKEN authorizer about a request without the header.
            if authorization:
                assert decided_by_rest(handle, method, path, authorization) == wanted, case


def test_a_driver_may_take_every_step_of_a_ride(handle: Handler, mint: Mint) -> None:
    bearer = credentials(mint)["driver"]
    for step in ("accept", "decline", "arrive", "start", "complete"):
        assert bearer
        path = f"/v1/fleet/me/rides/ride-1/{step}"
        assert decided_by_rest(handle, "POST", path, bearer) == "Allow"


def test_building_the_authorizer_does_not_say_that_positions_are_heard(key_file: Path) -> None:
    settings = ApiSettings(**SETTINGS | {"auth_jwks_file": str(key_file)})
    before = set(threading.enumerate())
    authority = build_authority(settings)
    started = {thread.name for thread in set(threading.enumerate()) - before}
    assert started <= {"looking for credentials"}, "in a function they are there at once"
    with pytest.raises(AuthError):
        authority.verifier.verify("a.b.c", 0.0)
