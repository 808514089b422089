"""Every header that is read, sent twice; every route with a body, in every framing HTTP allows."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from service.api.app import route_map
from service.http.headers import READ
from service.http.route import Route
from tests.support.stack import Stack

pytestmark = pytest.mark.stack(roles=("web",), RATE_LIMIT_ENABLED="false")

BODY = b'{"pickup":{"latitude":40.71,"longitude":-73.95}}'
JSON = "Content-Type: application/json"


class Raw:
    """An answer as it came over the connection, which the request closes."""

    def __init__(self, stack: Stack, method: str, path: str, lines: Sequence[str], body: bytes):
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *lines])
        with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as connection:
            connection.sendall(head.encode("latin-1") + b"\r\n\r\n" + body)
            received = b""
            while part := connection.recv(65536):
                received += part
        head_of_answer, _, self.body = received.partition(b"\r\n\r\n")
        first, *rest = head_of_answer.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in rest)

    @property
    def reason(self) -> Any:
        return json.loads(self.body)["reason"]


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def framed(body: bytes, chunks: int) -> tuple[str, bytes]:
    """The body's framing header and its bytes on the wire; no chunks: by its length."""
    if not chunks:
        return f"Content-Length: {len(body)}", body
    size = max(1, -(-len(body) // chunks))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    wire = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return "Transfer-Encoding: chunked", wire + b"0\r\nX-Trailer: 1\r\n\r\n"


def test_a_connection_takes_one_request_after_another(stack: Stack) -> None:
    with closing(HTTPConnection("127.0.0.1", stack.port, timeout=30)) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"") == (200, True)
            assert connection.sock is kept


TWICE = {
    # The bearer token is named as what is wrong.
    "Authorization": (400, "malformed_header"),
    # The server itself: no list, and the two might be told apart differently by others.
    "Content-Type": (400, "bad_request"),
    # One value with a comma, which is another key than either line.
    "Idempotency-Key": (202, None),
    # A list: several lines mean the same as one.
    "If-Match": (412, "precondition_failed"),
    "If-None-Match": (304, None),
    "Prefer": (202, None),
    # One value that is no id of ours.
    "Last-Event-ID": (422, "validation_failed"),
    # One value, repeated as it came.
    "X-Request-Id": (202, None),
    # W3C Trace Context, 3.2: one value that makes no sense begins a new trace.
    "traceparent": (202, None),
    "tracestate": (202, None),
    "baggage": (202, None),
}


def test_the_table_names_every_header_that_is_read() -> None:
    assert set(TWICE) == set(READ)


def twice(stack: Stack, name: str) -> Raw:
    rider = stack.rider_token(f"twice-{name}")
    framing, body = framed(BODY, 0)
    lines = [bearer(rider), JSON, framing]
    match name:
        case "Authorization":
            lines.append(bearer(rider))
        case "Content-Type":
            lines.append(JSON)
        case "If-Match":
            patch = b'{"accepting":true}'
            lines = [bearer(stack.admin_token()), JSON, framed(patch, 0)[0]]
            lines += ['If-Match: "7"', 'If-Match: "8"']
            enrolled = {"unicorn_id": "u1", "name": "A", "color": "B", "gender": "C"}
            stack.call("POST", "/v1/admin/unicorns", enrolled, token=stack.admin_token())
            return Raw(stack, "PATCH", "/v1/admin/unicorns/u1", lines, patch)
        case "If-None-Match" | "Last-Event-ID":
            path = stack.call("POST", "/v1/rides", json.loads(BODY), token=rider).headers[
                "Location"
            ]
            values = ('"9"', '"1"') if name == "If-None-Match" else ("1", "1")
            lines = [bearer(rider), *(f"{name}: {value}" for value in values)]
            return Raw(stack, "GET", path + "/events" * (name == "Last-Event-ID"), lines, b"")
        case "Prefer":
            lines += ["Prefer: respond-async", "Prefer: wait=1"]
        case _:
            lines += [f"{name}: a", f"{name}: b"]
    return Raw(stack, "POST", "/v1/rides", lines, body)


@pytest.mark.parametrize("name", TWICE)
def test_a_header_in_two_lines_is_one_value_or_refused(stack: Stack, name: str) -> None:
    answer = twice(stack, name)
    status, reason = TWICE[name]
    assert answer.status == status, answer.body
    assert reason is None or answer.reason == reason
    if name == "X-Request-Id":
        assert answer.headers["x-request-id"] == "a,b"
    if name == "Prefer":
        assert answer.headers["preference-applied"] == "wait=1"


def test_two_idempotency_keys_count_as_one_other_key(stack: Stack) -> None:
    rider, (framing, body) = stack.rider_token("two-keys"), framed(BODY, 0)
    lines, a, b = [bearer(rider), JSON, framing], "Idempotency-Key: a", "Idempotency-Key: b"
    rides = [
        json.loads(Raw(stack, "POST", "/v1/rides", [*lines, *keys], body).body)["ride_id"]
        for keys in ([a], [b], [a, b], ["Idempotency-Key: a,b"])
    ]
    assert len(set(rides)) == 3
    assert rides[2] == rides[3]


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_a_star_among_entity_tags_is_refused(stack: Stack, header: str) -> None:
    rider = stack.rider_token("star")
    path = stack.call("POST", "/v1/rides", json.loads(BODY), token=rider).headers["Location"]
    lines = [bearer(rider), f"{header}: *", f'{header}: "1"']
    method, body = "GET", b""
    if header == "If-Match":
        method, path, body = "DELETE", "/v1/admin/unicorns/u1", b""
        lines[0] = bearer(stack.admin_token())
    answer = Raw(stack, method, path, lines, body)
    assert (answer.status, answer.reason) == (422, "validation_failed")


def test_a_wait_inside_a_quoted_preference_is_ignored(stack: Stack) -> None:
    framing, body = framed(BODY, 0)
    lines = [bearer(stack.rider_token("quoted")), JSON, framing, 'Prefer: x="a,wait=9,b"']
    assert "preference-applied" not in Raw(stack, "POST", "/v1/rides", lines, body).headers


ROUTES = [route for route in route_map().declared.values() if route.body]
"""Those that read a body."""


def token_for(stack: Stack, route: Route) -> str:
    """One that passes the route's policy."""
    scope = " ".join(route.policy.scopes)
    if route.rule == "/v1/fleet/positions":
        return stack.mint.machine_token(scope=scope)
    groups = ["admin"] if "/admin/" in route.rule else ["unicorns"]
    return stack.mint.access_token(sub="forms", username="forms", scope=scope, groups=groups)


def ask(stack: Stack, route: Route, lines: Sequence[str], body: bytes) -> Raw:
    urls = route.rule.replace("<any(accept,decline,arrive,start,complete):step>", "accept")
    path = "/".join("x" if part.startswith("<") else part for part in urls.split("/"))
    token = bearer(token_for(stack, route))
    return Raw(stack, route.method, path, [token, 'If-Match: "1"', *lines], body)


def outcome(answer: Raw) -> tuple[int, Any]:
    problem = answer.headers.get("content-type") == "application/problem+json"
    return answer.status, answer.reason if problem else None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.rule}")
def test_a_body_means_the_same_in_every_framing(stack: Stack, route: Route) -> None:
    for body in (b"", b"{", b"[]", b'{"unknown":1}', b'{"\xff":1}', b" " * (route.body_limit + 1)):
        outcomes = set()
        for chunks in (0, 1, 7):
            framing, wire = framed(body, chunks)
            outcomes.add(outcome(ask(stack, route, [JSON, framing], wire)))
        if not body:
            outcomes.add(outcome(ask(stack, route, [JSON], b"")))
        assert len(outcomes) == 1, (body[:20], outcomes)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.rule}")
@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Type: text/plain"],
        ["Content-Type: application/json; charset=utf-16"],
        ["Content-Type: application/merge-patch+json"],
        [JSON, "Content-Encoding: gzip"],
        [JSON, "Content-Encoding: identity, br"],
        [JSON, "Content-Encoding: gzip", "Content-Encoding: gzip"],
        [JSON, "Transfer-Encoding: gzip, chunked"],
        [JSON, "Transfer-Encoding: br, chunked"],
    ],
    ids=lambda lines: lines[-1],
)
def test_a_coding_or_type_that_is_not_supported_is_named_as_that(
    stack: Stack, route: Route, lines: list[str]
) -> None:
    is_chunked = "Transfer-Encoding" in lines[-1]
    framing, wire = framed(BODY, 2 * is_chunked)
    answer = ask(stack, route, lines if is_chunked else [*lines, framing], wire)
    assert outcome(answer) == (415, "unsupported_media_type")
