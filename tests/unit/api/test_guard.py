"""The guard's answers, and the checks in their order; who may call what is in `test_access`."""

from __future__ import annotations

import pytest
from flask import Blueprint

from service.api import app as application
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.principal import Principal, TokenKind
from service.http.route import Route, UndeclaredRoute
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api

CHALLENGE = (
    'Bearer realm="wildrydes"{}, '
    'resource_metadata="https://rides.example.com/.well-known/oauth-protected-resource"'
)


def test_head_is_guarded_like_get(api: Api) -> None:
    assert api.call("HEAD", "/v1/rides", token=None).status_code == 401


def test_a_token_in_header_and_query_at_once_is_malformed(api: Api) -> None:
    answer = api.call("GET", "/v1/rides?access_token=rider")
    assert (answer.status_code, answer.json["reason"]) == (400, "malformed_header")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE.format(', error="invalid_request"')


def test_a_token_in_the_query_alone_is_a_missing_token(api: Api) -> None:
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
        Route(None, "GET", "/v1/x", answers={})
