"""CORS: exact origins, on errors too, and only a real preflight is public."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from service.http.cors import ALLOWED_HEADERS
from tests.support.api import ORIGIN, Api, build_api

ALLOWED = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer"),
    *("Last-Event-ID", "X-Request-Id", "X-Amz-Date", "X-Api-Key", "X-Amz-Security-Token"),
    *("traceparent", "tracestate", "baggage"),
)
EXPOSED = {
    *("ETag", "Location", "Retry-After", "X-Request-Id", "Idempotency-Replayed"),
    *("Preference-Applied", "WWW-Authenticate", "RateLimit", "RateLimit-Policy"),
}
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": ",".join(ALLOWED).lower(),
}


def names(answer: Any, header: str) -> set[str]:
    return set(answer.headers[header].split(", "))


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/v1/rides", "rider", 200),
        ("GET", "/healthz", None, 200),
        ("GET", "/v1/rides", None, 401),
        ("GET", "/v1/fleet/me", "rider", 403),
        ("GET", "/nothing", None, 404),
        ("PUT", "/v1/rides", None, 405),
        ("POST", "/v1/rides", "rider", 415),
        ("GET", "/v1/rides?limit=0", "rider", 422),
    ],
)
def test_answers_to_a_named_origin_carry_its_name(
    api: Api, method: str, path: str, token: str | None, status: int
) -> None:
    answer = api.call(method, path, token=token, headers={"Origin": ORIGIN})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert names(answer, "Access-Control-Expose-Headers") == EXPOSED
    assert answer.headers.getlist("Vary") == ["Origin"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_an_unexpected_error_is_readable_for_a_page_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.ports.rides, "list_of_rider", None)
    answer = api.call("GET", "/v1/rides", headers={"Origin": ORIGIN})
    assert answer.status_code == 500
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "*",
        "",
        ORIGIN.upper(),
        f"{ORIGIN}/",
        f"{ORIGIN}:443",
        f"{ORIGIN}.evil.example",
        "https://appXexample.com",
        "http://app.example.com",
        f"{ORIGIN} {ORIGIN}",
    ],
)
def test_another_origin_gets_no_cors_headers(api: Api, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        answer = api.call(method, "/v1/rides", headers=PREFLIGHT | {"Origin": origin})
        given = [name for name in dict(answer.headers) if name.startswith("Access-Control")]
        assert given == []
        assert answer.headers.getlist("Vary") == ["Origin"]


def test_an_ipv6_origin_is_named_like_any_other(api: Api) -> None:
    answer = api.call("GET", "/v1/rides", headers={"Origin": "http://[::1]:3000"})
    assert answer.headers["Access-Control-Allow-Origin"] == "http://[::1]:3000"


def test_without_origins_no_origin_is_allowed() -> None:
    api = build_api(cors_origins="")
    answer = api.call("OPTIONS", "/v1/rides", headers=PREFLIGHT)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_preflight_is_public_and_names_what_is_allowed(api: Api) -> None:
    answer = api.call("OPTIONS", "/v1/rides", token=None, headers=PREFLIGHT)
    assert (answer.status_code, answer.data) == (204, b"")
    assert names(answer, "Access-Control-Allow-Headers") == {name.lower() for name in ALLOWED}
    assert names(answer, "Access-Control-Allow-Methods") >= {"GET", "POST", "PUT", "PATCH"}
    assert answer.headers["Access-Control-Max-Age"] == "600"


def test_a_header_that_is_not_allowed_is_not_granted(api: Api) -> None:
    asked = PREFLIGHT | {"Access-Control-Request-Headers": "authorization, cookie, x-evil"}
    answer = api.call("OPTIONS", "/v1/rides", token=None, headers=asked)
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"


@pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
def test_options_that_is_no_preflight_is_405(api: Api, missing: str) -> None:
    headers = {name: value for name, value in PREFLIGHT.items() if name != missing}
    answer = api.call("OPTIONS", "/v1/rides", headers=headers)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1//rides", "/v1/admin%2fworkers", "/"])
def test_a_preflight_is_answered_for_every_path_so_that_a_page_can_read_the_404(
    api: Api, path: str
) -> None:
    answer = api.call("OPTIONS", path, token=None, headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)


def test_every_header_that_is_read_may_be_sent_by_a_page() -> None:
    read = {
        name
        for source in Path("service/http").glob("*.py")
        for name in re.findall(r"\"HTTP_([A-Z_]+)\"", source.read_text())
    }
    of_proxies_and_framing = {"X_FORWARDED_FOR", "UPGRADE", "TRANSFER_ENCODING", "CONTENT_ENCODING"}
    allowed = {name.upper().replace("-", "_") for name in ALLOWED_HEADERS}
    assert read - of_proxies_and_framing - allowed == set()


def test_preflight_headers_do_not_open_other_methods(api: Api) -> None:
    assert api.call("GET", "/v1/rides", token=None, headers=PREFLIGHT).status_code == 401
