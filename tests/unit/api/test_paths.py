"""One spelling of each path: every other one is 404 before anybody is asked who they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from service.http.paths import canonical_path
from tests.support.api import ORIGIN, Api, build_api

CANONICAL = {
    "/": "/",
    "/v1/rides": "/v1/rides",
    "/v1/rides?limit=1&x=%2f//": "/v1/rides",
    "/v1/rides/a-Z_0.9~": "/v1/rides/a-Z_0.9~",
    "/.well-known/oauth-protected-resource": "/.well-known/oauth-protected-resource",
    "/openapi.json": "/openapi.json",
    "http://rides.example.com/v1/rides?x=1": "/v1/rides",
    "HTTPS://rides.example.com": "/",
    "http://rides.example.com:8080?x": "/",
    "/x?y=http://z//": "/x",
}
OTHERS = (
    *("//v1/admin/workers", "/v1//admin/workers", "/v1/admin/workers/", "/v1/admin//", "//"),
    *("/v1/admin%2fworkers", "/v1/admin%2Fworkers", "/v1/%61dmin/workers", "/%761/admin/workers"),
    *("/v1/./admin/workers", "/v1/x/../admin/workers", "/..", "/.", "/v1/..", "/v1/a/."),
    *("/v1/admin;x/workers", "/v1/admin/workers;", "/v1/admin\\workers", "/v1/admin/workers#x"),
    *("/v1/admin/workers%00", "/v1/admin/workers%20", "/v1/admin%252fworkers", "/v1/a%zz", "/%"),
    *("/v1/rides/a:b", "/v1/rides/a@b", "/v1/rides/a+b", "/v1/rides/\u00e4", "/v1/rides\n", "*"),
    *("http://x//v1/rides", "http://x\\@y/v1/rides", "ftp://x/v1/rides", "http://x/v1/%72ides"),
    *("/v1/rides/http://x/", "/v1http://x/rides", "http://a/http://b/v1/rides"),
)


@pytest.mark.parametrize("target", CANONICAL)
def test_a_canonical_path_is_taken_from_its_target(target: str) -> None:
    assert canonical_path(target) == CANONICAL[target]


@pytest.mark.parametrize("target", OTHERS)
def test_every_other_spelling_is_refused(target: str) -> None:
    assert canonical_path(target) is None


def ask(api: Api, target: str, path_info: str, **headers: str) -> TestResponse:
    """A request as servers hand it on: the raw target, and the path that was decoded from it."""
    environ = {"RAW_URI": target, "PATH_INFO": path_info}
    return api.app.test_client().get(headers=headers, environ_overrides=environ)


@pytest.mark.parametrize(
    ("target", "path_info"),
    [
        ("//v1/admin/workers", "//v1/admin/workers"),
        ("//v1/admin/workers", "/v1/admin/workers"),
        ("/v1/admin%2fworkers", "/v1/admin/workers"),
        ("/v1/%61dmin/workers", "/v1/admin/workers"),
        ("/v1/x/../admin/workers", "/v1/admin/workers"),
        ("/v1/rides", "/v1/admin/workers"),
        ("http://x//v1/admin/workers", "/v1/admin/workers"),
    ],
)
@pytest.mark.parametrize("token", [None, "admin"])
def test_a_second_spelling_of_a_route_is_404_before_authentication(
    target: str, path_info: str, token: str | None
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = ask(build_api(), target, path_info, Origin=ORIGIN, **headers)
    assert (answer.status_code, answer.json["reason"]) == (404, "not_found")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Location" not in answer.headers


def test_an_absolute_target_is_served(api: Api) -> None:
    target = "http://elsewhere.example/v1/rides?limit=1"
    assert ask(api, target, "/v1/rides", Authorization="Bearer rider").status_code == 200


def test_a_target_without_a_path_is_the_first_page_and_redirects_to_no_host(api: Api) -> None:
    page = ask(api, "http://elsewhere.example", "")
    assert (page.status_code, page.text) == (200, ask(api, "/", "/").text)


STAGE = "https://abc123.execute-api.us-east-1.amazonaws.com/prod"
NOBODY = {"name": "Shadowfax", "color": "White", "gender": "Male", "unicorn_id": "u2"}


def test_every_address_keeps_the_path_of_the_public_url() -> None:
    api = build_api(public_url=STAGE)
    ride = api.call("POST", "/v1/rides", {"pickup": {"latitude": 1, "longitude": 2}})
    assert ride.headers["Location"] == f"/prod/v1/rides/{ride.json['ride_id']}"
    unicorn = api.call("POST", "/v1/admin/unicorns", NOBODY, token="admin")
    assert unicorn.headers["Location"] == "/prod/v1/admin/unicorns/u2"
    challenge = api.call("GET", "/v1/rides", token=None).headers["WWW-Authenticate"]
    assert f'resource_metadata="{STAGE}/.well-known/oauth-protected-resource"' in challenge
    assert api.call("GET", "/openapi.json").json["servers"] == [{"url": STAGE}]
    page = api.call("GET", "/docs").text
    local = re.findall(r'(?:href|src|spec-url)="(/[^"]*)"', page)
    assert "/prod/openapi.json" in local
    assert [address for address in local if not address.startswith("/prod/")] == []


def test_addresses_are_written_by_one_module() -> None:
    written = {
        path.as_posix(): line.strip()
        for path in Path("service").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r'"Location": f?"|public_url\}[/{]', line)
    }
    assert set(written) == {"service/http/paths.py"}
