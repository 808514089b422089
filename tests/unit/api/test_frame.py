"""What every answer carries, and how errors look."""

from __future__ import annotations

import itertools
import logging
from types import SimpleNamespace

import pytest

from service.http import frame
from tests.support.api import Api, build_api
from tests.support.builders import a_unicorn

EVERYWHERE = [("/healthz", 200), ("/v1/rides", 200), ("/nothing", 404), ("/v1/fleet/me", 403)]


@pytest.mark.parametrize(("path", "status"), EVERYWHERE)
def test_every_answer_carries_the_security_headers(api: Api, path: str, status: int) -> None:
    answer = api.call("GET", path)
    assert answer.status_code == status
    expected = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Strict-Transport-Security": "max-age=63072000",
    }
    assert {name: answer.headers.getlist(name) for name in expected} == {
        name: [value] for name, value in expected.items()
    }


def test_without_https_there_is_no_strict_transport_security() -> None:
    answer = build_api(public_url="http://127.0.0.1:8000").call("GET", "/healthz")
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(("path", "status"), EVERYWHERE)
def test_a_request_id_is_repeated(api: Api, path: str, status: int) -> None:
    given = "!" + "x" * 126 + "~"
    answer = api.call("GET", path, headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given
    if status >= 400:
        assert answer.json["request_id"] == given


def test_a_position_is_logged_only_if_it_is_refused(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.requests")
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    place = {"latitude": 40.7, "longitude": -74.0}
    for token, body, status in (("driver", place, 204), ("rider", place, 403), ("driver", [], 422)):
        answer = api.call("PUT", "/v1/fleet/me/position", body, token=token)
        assert answer.status_code == status
    answer = api.call("PUT", "/v1/fleet/me/position", data=b"{", token="driver")
    assert answer.status_code == 400
    lines = [record for record in caplog.records if record.name == "service.requests"]
    assert [vars(line)["status"] for line in lines] == [403, 422, 400]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\tb", "é", "\x7f"])
def test_a_bad_or_missing_request_id_is_replaced(api: Api, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given}
    first = api.call("GET", "/healthz", headers=headers).headers["X-Request-Id"]
    second = api.call("GET", "/healthz", headers=headers).headers["X-Request-Id"]
    assert first != second
    assert len(first) == 32
    assert first.isalnum()


def test_a_problem_has_exactly_its_members(api: Api) -> None:
    answer = api.call("GET", "/nothing", headers={"X-Request-Id": "r1"})
    assert answer.content_type == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing here.",
        "reason": "not_found",
        "request_id": "r1",
    }


@pytest.mark.parametrize(
    "path", ["/v1/rides/", "/v1//rides", "//v1/rides", "/V1/rides", "/v1/rides/x/", "/v1/./rides"]
)
def test_a_path_that_is_nearly_right_is_404_and_redirects_nowhere(api: Api, path: str) -> None:
    answer = api.app.test_client().get("/", environ_overrides={"PATH_INFO": path})
    assert answer.status_code == 404
    assert "Location" not in answer.headers


@pytest.mark.parametrize("method", ["DELETE", "TRACE", "BREW"])
def test_another_method_is_405_and_names_those_that_are_known(api: Api, method: str) -> None:
    answer = api.call(method, "/v1/rides")
    assert (answer.status_code, answer.json["reason"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("host", ["", "a b", "<script>", "[", "evil.example"])
def test_a_strange_host_changes_nothing(api: Api, host: str) -> None:
    answer = api.call("GET", "/v1/rides", headers={"Host": host})
    assert answer.status_code == 200
    refused = api.call("GET", "/v1/rides", token=None, headers={"Host": host})
    assert refused.status_code == 401
    assert "https://rides.example.com/" in refused.headers["WWW-Authenticate"]


def test_an_impossible_host_is_a_bad_request(api: Api) -> None:
    answer = api.call("GET", "/v1/rides", headers={"Host": "x" * 5000})
    assert (answer.status_code, answer.json["reason"]) == (400, "bad_request")


def test_an_unexpected_error_is_logged_and_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(api.ports.rides, "list_of_rider", fail)
    answer = api.call("GET", "/v1/rides", headers={"X-Request-Id": "r1"})
    assert (answer.status_code, answer.json["reason"]) == (500, "internal_error")
    assert answer.json["request_id"] == "r1"
    assert b"secret" not in answer.data
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.exc_info
    assert isinstance(record.exc_info[1], KeyError)


def test_each_request_leaves_one_line_without_query_or_token(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    instants = itertools.count(step=0.01234)
    monkeypatch.setattr(frame, "time", SimpleNamespace(perf_counter=lambda: next(instants)))
    with caplog.at_level(logging.INFO, "service"):
        api.call("GET", "/v1/rides?limit=5")
        api.call("GET", "/healthz")
    [line] = [each.__dict__ for each in caplog.records if each.name == "service.requests"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/rides", 200)
    assert (line["subject"], line["milliseconds"]) == ("rider-1", 12.3)
    assert "Bearer" not in str(line)
    assert "limit" not in str(line)


def test_the_line_of_a_path_without_a_route_has_its_beginning(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "service"):
        api.call("GET", f"/{'x' * 500}")
    [line] = [each.__dict__ for each in caplog.records if each.name == "service.requests"]
    assert (line["path"], line["status"]) == (f"/{'x' * 99}", 404)
