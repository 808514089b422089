"""Nobody gets in where they do not belong, and the checks come in their order."""

from __future__ import annotations

import re

import pytest
from flask import Blueprint

from service.api import app as application
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.principal import Principal, TokenKind
from service.http.route import UndeclaredRoute, declared_routes, route
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api

PUBLIC = {
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/viewer.js",
    "/.well-known/oauth-protected-resource",
}
CHALLENGE = (
    'Bearer realm="wildrydes"{}, '
    'resource_metadata="https://rides.example.com/.well-known/oauth-protected-resource"'
)


def every_route() -> list[tuple[str, str]]:
    """Method and path of each rule, with an id or a step in place of parameters."""
    routes = declared_routes(build_api().app).values()
    return [
        (each.method, re.sub(r"<\w+>", "x", re.sub(r"<any\((\w+),.*>", r"\1", each.rule)))
        for each in routes
    ]


def as_caller(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    monkeypatch.setitem(helpers.PRINCIPALS, "caller", a_principal(**changes))


@pytest.mark.parametrize(("method", "path"), every_route())
def test_every_route_but_the_public_ones_asks_for_a_token(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path, token=None)
    if path in PUBLIC:
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.json["reason"]) == (401, "missing_token")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE.format("")


@pytest.mark.parametrize(
    ("method", "path"), [each for each in every_route() if each[1] not in PUBLIC]
)
def test_every_route_but_the_public_ones_asks_for_its_scope(
    api: Api, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    as_caller(monkeypatch, scopes=frozenset({"aws.cognito.signin.user.admin"}))
    answer = api.call(method, path, token="caller")
    assert (answer.status_code, answer.json["reason"]) == (403, "insufficient_scope")
    challenge = answer.headers["WWW-Authenticate"]
    assert re.search(r'error="insufficient_scope", scope="wildrydes/[\w.]+", resource_', challenge)


def test_head_is_guarded_like_get(api: Api) -> None:
    assert api.call("HEAD", "/v1/rides", token=None).status_code == 401


def test_a_bad_token_says_nothing_about_why(api: Api) -> None:
    answer = api.call("GET", "/v1/rides", token="forged")
    assert (answer.status_code, answer.json["reason"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE.format(', error="invalid_token"')
    assert b"unknown" not in answer.data
    assert b"forged" not in answer.data


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"kind": TokenKind.MACHINE}, "/v1/rides"),
        ({"groups": frozenset()}, "/v1/fleet/me"),
        ({"groups": frozenset({"unicorns"})}, "/v1/admin/unicorns/u1"),
    ],
)
def test_the_wrong_kind_or_group_is_forbidden_without_naming_one(
    api: Api, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], path: str
) -> None:
    as_caller(monkeypatch, **changes)
    answer = api.call("GET", path, token="caller")
    assert (answer.status_code, answer.json["reason"]) == (403, "forbidden")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE.format(', error="insufficient_scope"')
    assert b"unicorn" not in answer.data


def test_a_dispatcher_reads_the_fleet_and_does_not_change_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_caller(monkeypatch, groups=frozenset({"dispatcher"}))
    assert api.call("GET", "/v1/admin/unicorns/u1", token="caller").status_code == 404
    assert api.call("PATCH", "/v1/admin/unicorns/u1", {}, token="caller").status_code == 403


def test_a_token_in_header_and_query_at_once_is_malformed(api: Api) -> None:
    answer = api.call("GET", "/v1/rides?access_token=rider")
    assert (answer.status_code, answer.json["reason"]) == (400, "malformed_header")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE.format(', error="invalid_request"')


def test_a_token_in_the_query_alone_is_none(api: Api) -> None:
    answer = api.call("GET", "/v1/rides?access_token=rider", token=None)
    assert (answer.status_code, answer.json["reason"]) == (401, "missing_token")


def test_unobtainable_keys_are_503_without_a_challenge(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AuthUnavailable(7)

    monkeypatch.setattr(helpers.KnownTokens, "verify", fail)
    answer = api.call("GET", "/v1/rides")
    assert (answer.status_code, answer.json["reason"]) == (503, "auth_unavailable")
    assert answer.headers["Retry-After"] == "7"
    assert "WWW-Authenticate" not in answer.headers


class KnownRole:
    """Knows one credential of an IAM role."""

    def verify(self, credential: str, now: float) -> Principal:
        if credential != "signed":
            raise InvalidToken("not signed")
        return a_principal("arn:aws:iam::123456789012:role/fleet", kind=TokenKind.MACHINE)


@pytest.mark.parametrize(
    ("header", "status", "reason"),
    [
        ("WildRydes-IAM signed", 403, "forbidden"),
        ("WildRydes-IAM other", 401, "invalid_token"),
        ("WildRydes-IAM", 400, "malformed_header"),
        ("WildRydes-IAM signed,Bearer rider", 400, "malformed_header"),
        ("Bearer rider", 200, None),
        ("Bearer signed", 401, "invalid_token"),
    ],
)
def test_roles_call_by_a_scheme_of_their_own(header: str, status: int, reason: str | None) -> None:
    api = build_api(iam=KnownRole())
    answer = api.call("GET", "/v1/rides", token=None, headers={"Authorization": header})
    assert (answer.status_code, answer.json.get("reason")) == (status, reason)


def test_without_roles_that_may_call_their_scheme_is_no_credential(api: Api) -> None:
    answer = api.call("GET", "/v1/rides", headers={"Authorization": "WildRydes-IAM signed"})
    assert (answer.status_code, answer.json["reason"]) == (401, "missing_token")


def test_checks_come_in_their_order(api: Api) -> None:
    """One request with every fault, repaired one by one."""
    huge, form = b"{" + b" " * 17_000, {"Content-Type": "text/plain"}
    steps = [
        (("PUT", "/v1/nothing", None, form, huge), 404),
        (("PUT", "/v1/rides", None, form, huge), 405),
        (("POST", "/v1/rides", None, form, huge), 401),
        (("POST", "/v1/rides", "rider", form, huge), 413),
        (("POST", "/v1/rides", "rider", form, b"{"), 415),
        (("POST", "/v1/rides", "rider", {}, b"{"), 400),
        (("POST", "/v1/rides", "rider", {}, b"{}"), 422),
    ]
    for (method, path, token, headers, data), status in steps:
        answer = api.call(method, path, token=token, headers=headers, data=data)
        assert answer.status_code == status


def test_an_application_with_an_undeclared_route_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stray = Blueprint("stray", __name__)
    stray.add_url_rule("/stray", view_func=lambda: "in", endpoint="stray")
    monkeypatch.setattr(application, "BLUEPRINTS", (*application.BLUEPRINTS, stray))
    with pytest.raises(UndeclaredRoute, match="/stray"):
        build_api()


def test_a_route_added_later_is_refused(api: Api) -> None:
    api.app.add_url_rule("/late", endpoint="late", view_func=lambda: "in")
    assert api.call("GET", "/late").status_code == 500


def test_a_route_cannot_be_declared_without_a_policy() -> None:
    with pytest.raises(TypeError, match="policy"):
        route(None, "GET", "/v1/x", answers={})
