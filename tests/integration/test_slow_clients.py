"""Slow or vanished clients on real sockets do not affect other clients."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from service.entrypoints.connection import ANSWER_SECONDS, REQUEST_SECONDS
from service.entrypoints.crowds import CROWD
from tests.load.bench.processes import family
from tests.support.infrastructure import wait_until
from tests.support.pressure import BODY
from tests.support.slow_clients import (
    ELSEWHERE,
    SlowClients,
    half_a_chunk,
    half_a_head,
    no_body,
    unread_answers,
)
from tests.support.stack import Stack

ORIGIN = "https://app.example.com"
SETTINGS = {"RATE_LIMIT_ENABLED": "false", "CORS_ORIGINS": ORIGIN, "LOG_LEVEL": "DEBUG"}
pytestmark = pytest.mark.stack(roles=("web",), **SETTINGS)


def connect(stack: Stack, *sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", stack.port), timeout=30)
    for part in sent:
        connection.sendall(part)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    answer = b""
    with connection:
        while received := connection.recv(65536):
            answer += received
    return answer


def problem(answer: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers (small letters) and body of an answer that ended its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    return int(status.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize("begin", [half_a_head, no_body, half_a_chunk])
def test_a_request_that_does_not_arrive_is_408_after_five_seconds_and_takes_no_place(
    stack: Stack, begin: Any
) -> None:
    token = stack.rider_token("slow")
    start = time.monotonic()
    slow = [connect(stack, begin(token, "none")) for _ in range(64)]
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(stack.call, "POST", "/v1/rides", BODY, token=stack.rider_token(f"r{n}"))
            for n in range(50)
        ]
        assert Counter(call.result().status for call in calls) == {202: 50}
    for connection in slow:
        status, _, body = problem(until_closed(connection))
        assert (status, body["reason"]) == (408, "request_timeout")
    assert time.monotonic() - start >= REQUEST_SECONDS
    assert "Traceback" not in stack.log("web")


def test_a_request_sent_together_with_the_one_before_it_has_no_more_time(stack: Stack) -> None:
    """Half of its body must not count as the whole, nor the rest as a further request."""
    first = b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    second = no_body(stack.rider_token("slow"), "") + b'{"pickup'
    answers = until_closed(connect(stack, first + second))
    assert answers.startswith(b"HTTP/1.1 200 ")
    status, _, body = problem(answers[answers.index(b"HTTP/1.1", 1) :])
    assert (status, body["reason"]) == (408, "request_timeout")


def test_a_body_that_trickles_does_not_win_more_time(stack: Stack) -> None:
    token = stack.rider_token("slow")
    connection = connect(stack, no_body(token, ""))
    start = time.monotonic()
    connection.settimeout(0.5)
    answer = b""
    while not answer:
        connection.sendall(b" ")
        try:
            answer = connection.recv(65536)
        except TimeoutError:
            assert time.monotonic() - start < 4 * REQUEST_SECONDS
    connection.settimeout(30)
    assert problem(answer + until_closed(connection))[0] == 408


def test_a_connection_on_which_nothing_is_sent_is_closed_without_an_answer(stack: Stack) -> None:
    assert until_closed(connect(stack)) == b""


def test_the_refusal_of_a_head_that_never_ends_can_be_read_by_a_page(stack: Stack) -> None:
    head = f"GET / HTTP/1.1\r\nOrigin: {ORIGIN}\r\nX-Request-Id: mine\r\nX-Half".encode()
    status, headers, body = problem(until_closed(connect(stack, head)))
    assert (status, body["request_id"], headers["x-request-id"]) == (408, "mine", "mine")
    assert headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        ("GET /{long} HTTP/1.1\r\nHost: x\r\n{origin}", 414, "uri_too_long"),
        ("GET / HTTP/1.1\r\n{origin}X-Long: {long}{long}\r\n", 431, "headers_too_large"),
        ("GET / HTTP/1.1\r\nX-Long: {long}{long}\r\n{origin}", 431, "headers_too_large"),
        ("GET / HTTP/1.1\r\n{origin}{many}", 431, "headers_too_large"),
        ("GET / HTTP/1.1\r\n{origin}{large}", 431, "headers_too_large"),
        ("GET / HTTP/1.1\r\n{origin}Authorization: Bearer {token}\r\n", 431, "token_too_large"),
        ("GET / HTTP/1.1\r\n{origin}Authorization: Bearer {huge}\r\n", 431, "token_too_large"),
        ("GET / HTTP/1.1\r\n{origin}Authorization: Basic {token}\r\n", 431, "headers_too_large"),
        ("GET / HTTP/1.1\r\n{origin}no colon\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\n{origin}Bad Name: x\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\n{origin}X : x\r\n", 400, "bad_request"),
        ("GET / HTTP/9.1\r\n{origin}", 400, "bad_request"),
        ("GET / HTTP/1.1\r\n{origin}Expect: 200-maybe\r\n", 417, "expectation_failed"),
        (
            "POST /v1/rides HTTP/1.1\r\n{origin}Transfer-Encoding: br, chunked\r\n",
            415,
            "unsupported_media_type",
        ),
        ("GET / HTTP/1.1\r\n{origin}Host: x\r\nHost: y\r\n", 400, "bad_request"),
        (
            "GET / HTTP/1.1\r\n{origin}Content-Length: 1\r\nContent-Length: 1\r\n",
            400,
            "bad_request",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_like_everything_else(
    stack: Stack, head: str, status: int, reason: str
) -> None:
    text = head.format(
        long="a" * 5000,
        token="a" * 9000,
        huge="a" * 40_000,
        large="".join(f"X-{n}: {'a' * 8000}\r\n" for n in range(5)),
        many="".join(f"X-{n}: 1\r\n" for n in range(70)),
        origin=f"Origin: {ORIGIN}\r\nX-Request-Id: mine\r\n",
    )
    seen, headers, body = problem(until_closed(connect(stack, f"{text}\r\n".encode())))
    assert (seen, body["reason"], body["request_id"]) == (status, reason, "mine")
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["vary"] == "origin"
    assert "X-Long" not in stack.log("web")


def test_no_other_origin_may_read_such_a_refusal(stack: Stack) -> None:
    head = b"GET / HTTP/9.1\r\nOrigin: https://evil.example\r\n\r\n"
    _, headers, _ = problem(until_closed(connect(stack, head)))
    assert "access-control-allow-origin" not in headers


def test_answers_that_nobody_reads_are_dropped(stack: Stack) -> None:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", stack.port))
    connection.sendall(unread_answers("", "") * 70)
    connection.settimeout(3 * ANSWER_SECONDS)
    time.sleep(1.5 * ANSWER_SECONDS)
    with pytest.raises(ConnectionResetError):
        until_closed(connection)
    assert "Traceback" not in stack.log("web")


def test_a_thousand_slow_clients_take_nothing_from_riders_and_unicorns(stack: Stack) -> None:
    rides = {"slow": stack.call("POST", "/v1/rides", BODY, token=stack.rider_token("slow"))}
    admin = stack.admin_token()
    unicorns = {}
    for number in range(50):
        account, about = f"driver-{number}", {"color": "White", "gender": "Male"}
        body = {"name": account, "account_sub": account, **about}
        assert stack.call("POST", "/v1/admin/unicorns", body, token=admin).status == 201
        unicorns[account] = stack.unicorn_token(account)
    position = {"latitude": 40.71, "longitude": -73.95}

    def ride(number: int) -> list[int]:
        token, statuses = stack.rider_token(f"rider-{number}"), []
        for _ in range(3):
            made = stack.call("POST", "/v1/rides", BODY, token=token)
            path = f"/v1/rides/{made.json.get('ride_id')}"
            statuses += [made.status, stack.call("GET", path, token=token).status]
            statuses.append(stack.call("POST", f"{path}/cancel", token=token).status)
        return statuses

    def drive(token: str) -> list[int]:
        path = "/v1/fleet/me/position"
        return [stack.call("PUT", path, position, token=token).status for _ in range(6)]

    slow = SlowClients(
        [stack.port], stack.rider_token("slow"), 1000, ride_id=rides["slow"].json["ride_id"]
    )
    with slow, ThreadPoolExecutor(10) as pool:
        riders = [pool.submit(ride, number) for number in range(50)]
        drivers = [pool.submit(drive, token) for token in unicorns.values()]
        seen = Counter(status for each in (*riders, *drivers) for status in each.result())
    assert slow.opened >= 1000
    assert seen == {202: 150, 200: 300, 204: 300}, stack.log("web")[-2000:]


@contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """Stop the worker process for the duration of the context; its input waits."""
    worker = family(stack.processes["web"].pid)[-1]
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def requests(name: str, count: int) -> bytes:
    """The bytes of this many requests; their log lines hold `name`."""
    return f"GET /healthz HTTP/1.1\r\nX-Request-Id: {name}\r\n\r\n".encode() * count


def served(stack: Stack, *names: str) -> list[str]:
    """The names of the answered requests, in the order of the answers."""
    lines = re.findall(r'"request_id": "([^"]+)"', stack.log("web"))
    return [name for name in lines if name in names]


def test_a_client_that_sends_without_reading_does_not_delay_others(stack: Stack) -> None:
    with ExitStack() as opened:
        with stopped(stack):
            for name in ("greedy", "another"):
                opened.enter_context(closing(connect(stack, requests(name, 100))))
        wait_until(lambda: len(served(stack, "greedy", "another")) == 200, "their answers")
    assert served(stack, "greedy", "another").index("another") < 100


def test_a_crowd_of_one_address_yields_to_other_clients(stack: Stack) -> None:
    with ExitStack() as opened:
        address, elsewhere = ("127.0.0.1", stack.port), (ELSEWHERE, 0)
        crowd = [
            opened.enter_context(closing(socket.create_connection(address, 30, elsewhere)))
            for _ in range(CROWD + 20)
        ]
        for connection in crowd:
            connection.sendall(requests("comes", 1))
        wait_until(lambda: len(served(stack, "comes")) == len(crowd), "the crowd")
        with stopped(stack):
            for connection in crowd:
                connection.sendall(requests("crowd", 10))
            opened.enter_context(closing(connect(stack, requests("alone", 20))))
        every = 10 * len(crowd) + 20
        wait_until(lambda: len(served(stack, "crowd", "alone")) == every, "their answers", 60)
    before_the_last = served(stack, "crowd", "alone")
    while before_the_last.pop() != "alone":
        pass
    # One at a time, only where nobody else is ready. Without an order it would be a thousand.
    assert before_the_last.count("crowd") < every / 4


def polls_ended(stack: Stack) -> int:
    return stack.log("web").count('"path": "/v1/rides/<ride_id>"')


def seconds_until_noticed(
    stack: Stack, path: str, head: str, token: str, sent_meanwhile: bytes
) -> float:
    """Seconds until twenty polls end whose clients have closed their connections."""
    ended = polls_ended(stack)
    polls = [connect(stack, f"GET {path} HTTP/1.1\r\n{head}".encode()) for _ in range(20)]
    # A poll beyond the bound of one caller is answered at once, so now all of them are held.
    wait_until(lambda: stack.call("GET", path, token=token, Prefer="wait=1").status, "the polls")
    closed_at = time.monotonic()
    for poll in polls:
        poll.sendall(sent_meanwhile)
        poll.close()
    wait_until(lambda: polls_ended(stack) >= ended + 21, "the end of the polls", 15)
    return time.monotonic() - closed_at


@pytest.mark.parametrize("sent_meanwhile", [b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nHo"])
def test_a_closed_socket_is_noticed_at_once_by_long_polls_and_streams(
    stack: Stack, sent_meanwhile: bytes
) -> None:
    token = stack.rider_token("gone")
    ride_id = stack.call("POST", "/v1/rides", BODY, token=token).json["ride_id"]
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\nPrefer: wait=30\r\n\r\n"
    path = f"/v1/rides/{ride_id}"
    # On a busy machine any one look may come late.
    noticed = (seconds_until_noticed(stack, path, head, token, sent_meanwhile) for _ in range(5))
    assert any(seconds < 2 for seconds in noticed)
    for _ in range(12):
        stream = connect(stack, f"GET {path}/events HTTP/1.1\r\n{head}".encode())
        assert stream.recv(12) == b"HTTP/1.1 200", "the place of a closed stream is free"
        stream.close()
        time.sleep(0.1)


def test_a_request_that_is_sent_during_a_wait_is_answered_after_it(stack: Stack) -> None:
    token = stack.rider_token("pipelining")
    ride_id = stack.call("POST", "/v1/rides", BODY, token=token).json["ride_id"]
    path, head = f"/v1/rides/{ride_id}", f"Host: x\r\nAuthorization: Bearer {token}\r\n"
    poll = f"GET {path} HTTP/1.1\r\n{head}Prefer: wait=30\r\n\r\n"
    last = f"GET /v1/rides HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    connection = connect(stack, poll.encode())
    for part in (last[:40], last[40:]):
        # Other calls are answered in between, so the poll has begun to wait.
        assert stack.call("GET", path, token=token).status == 200
        connection.sendall(part.encode())
    assert stack.call("POST", f"{path}/cancel", token=token).status == 200
    answers = until_closed(connection)
    assert answers.count(b"HTTP/1.1 200") == 2
    assert answers.index(b"Preference-Applied") < answers.index(b'"rides"')


def test_upgrade_is_ignored(stack: Stack) -> None:
    token = stack.rider_token("upgrading")
    body = json.dumps(BODY)
    for protocol in ("websocket", "h2c", "TLS/1.0"):
        head = (
            f"Host: x\r\nAuthorization: Bearer {token}\r\n"
            f"Connection: Upgrade, close\r\nUpgrade: {protocol}\r\n"
        )
        read = f"GET /v1/rides HTTP/1.1\r\n{head}\r\n"
        assert until_closed(connect(stack, read.encode())).startswith(b"HTTP/1.1 200 ")
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        write = f"POST /v1/rides HTTP/1.1\r\n{head}{kind}\r\n{body}"
        assert until_closed(connect(stack, write.encode())).startswith(b"HTTP/1.1 202 ")


def test_a_body_that_nobody_needs_does_not_become_the_next_request(stack: Stack) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    last = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = until_closed(connect(stack, head + smuggled + last))
    assert answer.count(b"HTTP/1.1 404") == 2
    assert b"HTTP/1.1 200" not in answer
