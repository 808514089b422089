"""A client outside sends forged gateway headers, as raw bytes, to the real server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from tests.support.hostile_http import raw
from tests.support.stack import Stack
from tests.support.token_mint import POOL_ID

PROOF: Final = "0123456789abcdefABCDEF0123456789"
SUB: Final = "0f3a1c9e-1111-4222-8333-0123456789ab"
IDENTITIES: Final = "us-east-1:00000000-0000-4000-8000-000000000001"
ROLE: Final = "arn:aws:iam::123456789012:role/rider"
POOL: Final = f"cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
SAID: Final = ";".join(
    (
        "arn:aws:sts::123456789012:assumed-role/rider/CognitoIdentityCredentials",
        *("203.0.113.9", "authenticated", IDENTITIES),
        "us-east-1:00000000-0000-4000-8000-000000000002",
        f"{POOL},{POOL}:CognitoSignIn:{SUB}",
    )
)
GOOD: Final = f"{PROOF};{SAID}"
NAME: Final = "X-WildRydes-Gateway"
WRONG: Final = f"{PROOF[::-1]};{SAID}"

pytestmark = pytest.mark.stack(
    roles=("web",),
    GATEWAY_PROOFS=f'{{"a": "{PROOF}"}}',
    IDENTITY_POOL_ID=IDENTITIES,
    COGNITO_ISSUERS=f"https://{POOL}",
    IDENTITY_ROLE_SCOPES=f'{{"{ROLE}": ["wildrydes/rides.read"]}}',
    RATE_LIMIT_FAILURES="1000000/minute",
)


def answer_to(stack: Stack, lines: str) -> bytes:
    head = f"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n\r\n"
    return raw(stack, head.encode("latin-1"))


def test_a_valid_gateway_header_is_believed(stack: Stack) -> None:
    """A valid header works, so the refusals in the other tests are due to the forgery."""
    answer = answer_to(stack, f"{NAME}: {GOOD}")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert SUB.encode() in answer


ABSENT: Final[Mapping[str, str]] = {
    "another proof": f"{NAME}: {WRONG}",
    "no proof": f"{NAME}: ;{SAID}",
    "the claims alone": f"{NAME}: {SAID}",
    "twice, the first wrong": f"{NAME}: {WRONG}\r\n{NAME}: {GOOD}",
    "underscores, even with the proof": f"X_WildRydes_Gateway: {GOOD}",
    "one underscore": f"X-WildRydes_Gateway: {GOOD}",
    "both names, the wrong one with dashes": (f"{NAME}: {WRONG}\r\nX_WildRydes_Gateway: {GOOD}"),
    "escaped": f"{NAME}: {''.join(f'%{ord(each):02x}' for each in PROOF)};{SAID}",
    "not ASCII": f"{NAME}: {32 * 'é'};{SAID}",
    "in another header": f"X-Forwarded-Gateway: {GOOD}\r\nForwarded: {GOOD}",
    "in a cookie": f"Cookie: {NAME}={GOOD}",
}


@pytest.mark.parametrize("lines", ABSENT.values(), ids=ABSENT)
def test_a_forged_header_counts_as_absent(stack: Stack, lines: str) -> None:
    answer = answer_to(stack, lines)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"reason":"missing_token"' in answer


UNREADABLE: Final[Mapping[str, str]] = {
    "a space before the colon": f"{NAME} : {GOOD}",
    "a folded line": f"{NAME}:\r\n {GOOD}",
    "NUL": f"{NAME}: {GOOD}\0",
    "a bare line feed": f"{NAME}: {WRONG}\n{NAME}: {GOOD}",
    "a bare carriage return": f"{NAME}: {WRONG}\r{NAME}: {GOOD}",
}


@pytest.mark.parametrize("lines", UNREADABLE.values(), ids=UNREADABLE)
def test_the_server_refuses_a_malformed_header(stack: Stack, lines: str) -> None:
    assert answer_to(stack, lines).startswith(b"HTTP/1.1 400 ")


def test_a_header_that_came_twice_names_nobody(stack: Stack) -> None:
    assert answer_to(stack, f"{NAME}: {GOOD}\r\n{NAME}: {GOOD}").startswith(b"HTTP/1.1 401 ")


def test_pages_may_not_send_the_header_and_logs_do_not_hold_it(stack: Stack) -> None:
    answer = answer_to(stack, f"{NAME}: {GOOD}\r\nOrigin: https://evil.example")
    assert b"wildrydes-gateway" not in answer.lower().partition(b"\r\n\r\n")[0]
    assert PROOF not in stack.log("web")
