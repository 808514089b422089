"""Rows 13, 15 and 16: what no HTTP client would send, and tokens in places where none belongs."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.support.hostile_case import Case, is_sendable
from tests.support.hostile_http import raw, request_with
from tests.support.hostile_tokens import CASES
from tests.support.stack import Stack
from tests.support.token_mint import Mint

pytestmark: Final = [
    pytest.mark.usefixtures("nothing_happens"),
    pytest.mark.stack(roles=("web",), RATE_LIMIT_FAILURES="1000000/minute"),
]

UNSENDABLE: Final = [case for case in CASES if not is_sendable(case.build(Mint()))]


def lines_of(stack: Stack) -> dict[str, bytes]:
    token = stack.mint.access_token().encode()
    head, tail = token[:100], token[100:]
    return {
        "NUL": b"Authorization: Bearer " + head + b"\0" + tail,
        "bare LF": b"Authorization: Bearer " + head + b"\n" + tail,
        "bare CR": b"Authorization: Bearer " + head + b"\r" + tail,
        "obs-fold": b"Authorization: Bearer\r\n " + token,
        "space before the colon": b"Authorization : Bearer " + token,
        "too long": b"Authorization: Bearer " + token + b"A" * 8200,
    }


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("NUL", 400),
        ("bare LF", 400),
        ("bare CR", 400),
        ("obs-fold", 400),
        ("space before the colon", 400),
        ("too long", 431),
    ],
)
def test_rows_15_and_16_end_at_the_server_and_with_the_connection(
    stack: Stack, name: str, status: int
) -> None:
    answer = raw(stack, request_with(stack, lines_of(stack)[name]))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("case", UNSENDABLE, ids=str)
def test_headers_that_no_client_sends_are_refused_by_the_server(stack: Stack, case: Case) -> None:
    header = case.build(stack.mint)
    assert header is not None
    answer = raw(stack, request_with(stack, b"Authorization: " + header.encode("latin-1")))
    # Sent too fast for the server's answer to arrive, it is a mere reset.
    assert re.match(rb"HTTP/1.1 (400|431) |$", answer)


def test_two_headers_are_not_one_token(stack: Stack) -> None:
    line = f"Authorization: Bearer {stack.mint.access_token()}"
    answer = raw(stack, request_with(stack, f"{line}\r\n{line}\r\nConnection: close".encode()))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_row_13_a_token_in_a_form_or_cookie_is_a_missing_token(stack: Stack) -> None:
    token = stack.mint.access_token()
    for headers in (
        f"Cookie: access_token={token}; Authorization=Bearer {token}",
        f"X-Authorization: Bearer {token}\r\nProxy-Authorization: Bearer {token}",
    ):
        answer = raw(stack, request_with(stack, f"{headers}\r\nConnection: close".encode()))
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b'"reason":"missing_token"' in answer
    form = f"access_token={token}".encode()
    head = (
        "POST /v1/rides HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
        f"application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    assert b'"reason":"missing_token"' in raw(stack, head.encode() + form)


def test_an_absolute_form_target_is_the_same_path(stack: Stack) -> None:
    token = stack.mint.access_token(scope="wildrydes/rides.read")
    request = (
        "GET http://x/v1/rides HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    assert raw(stack, request.encode()).startswith(b"HTTP/1.1 200 ")
