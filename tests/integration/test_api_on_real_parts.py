"""The API as its process serves it: real HTTP, signed tokens, DynamoDB tables and Redis."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from service.http.gate import POLLS_PER_SUBJECT
from service.local import procfile
from tests.support.infrastructure import PROJECT, wait_until
from tests.support.stack import Stack, start_process

pytestmark = pytest.mark.stack(roles=("web",))

BODY = {"pickup": {"latitude": 40.71, "longitude": -73.95}}


def raw(stack: Stack, request: bytes) -> tuple[int, bytes]:
    """Send these bytes; returns the status and the whole answer."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        # A server that answers before it has read everything resets the connection afterwards.
        with suppress(ConnectionResetError):
            while received := connection.recv(65536):
                answer += received
    return int(answer.split(b" ", 2)[1]), answer


def chunked_request(stack: Stack, chunks: bytes) -> bytes:
    token = stack.rider_token("rider-chunked")
    head = (
        f"POST /v1/rides HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close"
        "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head.encode() + chunks


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_rides_are_listed_page_by_page(stack: Stack) -> None:
    token = stack.rider_token("rider-pages")
    made = [stack.call("POST", "/v1/rides", BODY, token=token).json["ride_id"] for _ in range(5)]
    found, cursor = [], ""
    while cursor is not None:
        page = stack.call("GET", f"/v1/rides?limit=2{cursor}", token=token).json
        found += [ride["ride_id"] for ride in page["rides"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert found == made[::-1]


def test_a_unicorn_is_enrolled_and_reports_the_strangest_positions(stack: Stack) -> None:
    admin, driver = stack.admin_token(), stack.unicorn_token("driver-1")
    body = {"name": "Shadowfax", "color": "White", "gender": "Male", "account_sub": "driver-1"}
    made = stack.call("POST", "/v1/admin/unicorns", body, token=admin)
    assert made.status == 201
    for recorded_at in ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", None):
        for latitude, longitude in ((90, 180), (-90, -180), (5e-324, -0.0), (40.7, -74.0)):
            place = {"latitude": latitude, "longitude": longitude, "recorded_at": recorded_at}
            for _ in range(2):  # a jump waits for a second report that agrees
                answer = stack.call("PUT", "/v1/fleet/me/position", place, token=driver)
                assert answer.status == (200 if recorded_at else 204), answer.body
    on = stack.call("PUT", "/v1/fleet/me/availability", {"available": True}, token=driver)
    assert on.json["state"] == "available"
    assert stack.call("GET", "/v1/fleet/me", token=driver).json["unicorn"]["location"] == {
        "latitude": pytest.approx(40.7),
        "longitude": pytest.approx(-74.0),
    }


@pytest.mark.parametrize("latitude", [90, -90, 0, 1e-200, 5e-324, 40.712345678901234])
def test_coordinates_at_the_edge_are_stored(stack: Stack, latitude: float) -> None:
    token = stack.rider_token("rider-edges")
    body = {"pickup": {"latitude": latitude, "longitude": 180}, "note": "\x00\U0001f984"}
    made = stack.call("POST", "/v1/rides", body, token=token)
    assert made.status == 202
    shown = stack.call("GET", made.headers["Location"], token=token).json
    assert shown == made.json
    assert shown["pickup"]["latitude"] == pytest.approx(latitude, abs=1e-9)
    assert shown["note"] == "\x00\U0001f984"


SENT = json.dumps(BODY).encode()


@pytest.mark.parametrize(
    ("chunks", "status", "reason"),
    [
        (chunk(SENT[:7]) + chunk(SENT[7:]) + b"0\r\n\r\n", 202, b'"requested"'),
        (chunk(SENT.ljust(17 * 1024)) + b"0\r\n\r\n", 413, b"body_too_large"),
        (b"zz\r\n{}\r\n0\r\n\r\n", 400, b"malformed_body"),
        (b"ff\r\n{}", 400, b"malformed_body"),
        (b"", 400, b"malformed_body"),
    ],
)
def test_a_chunked_body_is_read_whole_or_refused(
    stack: Stack, chunks: bytes, status: int, reason: bytes
) -> None:
    answered, answer = raw(stack, chunked_request(stack, chunks))
    assert answered == status
    assert reason in answer


def test_a_body_shorter_than_announced_is_refused(stack: Stack) -> None:
    token = stack.rider_token("rider-short")
    request = (
        f"POST /v1/rides HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        'Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"pickup"'
    )
    status, answer = raw(stack, request.encode())
    assert status == 400
    assert b"malformed_body" in answer


def test_a_large_body_is_refused_without_a_token_first(stack: Stack) -> None:
    head = "POST /v1/rides HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999\r\n"
    status, answer = raw(stack, head.encode() + b"\r\n")
    assert status == 401
    assert b"missing_token" in answer


def long_polls(stack: Stack, token: str, path: str) -> list[socket.socket]:
    """As many as one rider may hold."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        'Prefer: wait=30\r\nIf-None-Match: "1"\r\n\r\n'
    ).encode()
    waiting = []
    for _ in range(POLLS_PER_SUBJECT):
        waiting.append(socket.create_connection(("127.0.0.1", stack.port), timeout=20))
        waiting[-1].sendall(request)
    return waiting


def test_others_are_served_while_200_wait(stack: Stack) -> None:
    rides: dict[str, str] = {}
    waiting: list[socket.socket] = []
    try:
        for number in range(200 // POLLS_PER_SUBJECT):
            token = stack.rider_token(f"rider-waiting-{number}")
            rides[token] = stack.call("POST", "/v1/rides", BODY, token=token).headers["Location"]
            waiting += long_polls(stack, token, rides[token])
            assert stack.call("GET", rides[token], token=token).status == 200
        for token, path in rides.items():
            assert stack.call("POST", f"{path}/cancel", token=token).status == 200
        for connection in waiting:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in waiting:
            connection.close()


def test_no_token_is_in_the_log(stack: Stack) -> None:
    token = stack.rider_token("rider-log")
    stack.call("GET", "/v1/rides", token=token)
    stack.call("GET", "/v1/rides", token=token[:-8] + "AAAAAAAA")
    stack.call("GET", f"/v1/rides?access_token={token}", token=token)
    assert "rider-log" in stack.log("web")
    assert "eyJ" not in stack.log("web")


def test_a_bad_setting_is_named_and_ends_the_process(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PORT": "0", "CORS_ORIGINS": "*"}
    command = procfile.read(PROJECT / "Procfile")["web"]
    process = start_process("web", command, environment, tmp_path)
    wait_until(lambda: process.exit_code is not None, "the end of the process")
    assert process.exit_code == 1
    written = (tmp_path / "web.log").read_text()
    assert "CORS_ORIGINS: '*' is not an exact origin" in written
    assert "PUBLIC_URL: Field required" in written
