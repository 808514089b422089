"""Hostile tokens over HTTP: the answer, and that nothing else happened.

All rows of the table that are about the header, and one row for each refusal on each policy. All
rows are tried without HTTP in `tests/unit/auth/test_hostile_tokens.py`. What no HTTP client would
send is in `test_raw_requests`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from service.auth import policy
from tests.support import hostile_headers
from tests.support.hostile_case import Case, accepted, invalid, is_sendable
from tests.support.hostile_http import DETAILS, RIDE, check_refused, send
from tests.support.hostile_jose import forged, genuine
from tests.support.hostile_tokens import CASES
from tests.support.key_server import KeyServer
from tests.support.stack import Stack
from tests.support.token_mint import Mint

pytestmark: Final = [
    pytest.mark.usefixtures("nothing_happens"),
    pytest.mark.stack(roles=("web",), RATE_LIMIT_FAILURES="1000000/minute"),
]

UNICORN: Final = {"name": "Intruder", "color": "Grey", "gender": "None"}
HARMLESS: Final[dict[policy.Policy, tuple[str, str, Any]]] = {
    policy.RIDES_READ: ("GET", "/v1/rides", None),
    policy.ADMIN_READ: ("GET", "/v1/admin/unicorns/nobody", None),
    policy.FLEET_TELEMETRY: ("POST", "/v1/fleet/positions", {"positions": []}),
}
POSITIONS: Final = {"positions": [{"unicorn_id": "u1", **RIDE["pickup"]}]}
WRITES: Final = (
    ("/v1/rides", RIDE),
    ("/v1/admin/unicorns", UNICORN),
    ("/v1/fleet/positions", POSITIONS),
)
SENDABLE: Final = [
    case for case in CASES if case.policy in HARMLESS and is_sendable(case.build(Mint()))
]
ONE_OF_EACH: Final = {(case.reason, case.policy): case for case in SENDABLE}.values()
SENT: Final = [case for case in SENDABLE if case in hostile_headers.CASES or case in ONE_OF_EACH]


def check(stack: Stack, case: Case) -> None:
    """Ask where the case says, and where nobody is let in try to write everywhere too."""
    header = case.build(stack.mint)
    query = f"?access_token={stack.mint.access_token()}" if case.has_query_token else ""
    method, harmless, nothing = HARMLESS[case.policy]
    answer = send(stack, method, harmless + query, header, nothing)
    if case.status == 200:
        assert answer.status == 200, answer.body
        return
    assert case.status == DETAILS[case.reason][0]
    check_refused(stack, answer, case.reason, case.policy.scopes[0])
    if case.status != 403:
        for path, body in WRITES:
            check_refused(stack, send(stack, "POST", path + query, header, body), case.reason, "")


@pytest.mark.parametrize("case", SENT, ids=str)
def test_a_row_of_the_table_gets_its_answer_and_nothing_else(stack: Stack, case: Case) -> None:
    check(stack, case)


LURED: Final = [(make, name) for make in (forged, genuine) for name in ("jku", "x5u")]


@pytest.mark.parametrize(("make", "name"), LURED)
def test_no_url_of_a_token_is_ever_fetched(
    stack: Stack, trap: KeyServer, make: Any, name: str
) -> None:
    row, expected = (33, accepted) if make is genuine else (32, invalid)
    check(stack, expected(row, name, make(**{name: trap.url})))
    if make is forged:
        check(stack, invalid(row, name, make(kid="trap", **{name: trap.url})))


@pytest.mark.parametrize(
    ("name", "groups", "scope"),
    [
        ("a rider", [], "wildrydes/rides.read"),
        ("an admin without the scope", ["admin"], "wildrydes/rides.read"),
        ("the scope without the group", ["riders"], "wildrydes/admin"),
        ("a dispatcher", ["dispatcher"], "wildrydes/admin"),
    ],
)
def test_only_admins_with_the_scope_write(
    stack: Stack, name: str, groups: list[str], scope: str
) -> None:
    token = stack.mint.access_token(scope=scope, groups=groups)
    reason = "forbidden" if scope == "wildrydes/admin" else "insufficient_scope"
    answer = send(stack, "POST", "/v1/admin/unicorns", f"Bearer {token}", UNICORN)
    check_refused(stack, answer, reason, "wildrydes/admin")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/v1/rides", 401),
        ("HEAD", "/v1/admin/unicorns/u1", 401),
        ("OPTIONS", "/v1/rides", 405),
        ("OPTIONS", "/v1/admin/revocations", 405),
        ("PUT", "/v1/rides", 405),
        ("TRACE", "/v1/rides", 405),
        ("GET", "/v1/rides/", 404),
        ("GET", "/v1//rides", 404),
        ("GET", "/V1/rides", 404),
        ("GET", "/v1/rides/../rides", 404),
        ("GET", "/v1/rides%2f", 404),
        ("GET", "/v1/rides;x=1", 404),
        ("GET", "/v1/admin", 404),
        ("GET", "//v1/admin/workers", 404),
        ("GET", "/v1/admin%2fworkers", 404),
        ("GET", "/nothing", 404),
    ],
)
def test_row_96_no_method_and_no_spelling_of_a_path_goes_round_the_guard(
    stack: Stack, method: str, path: str, status: int
) -> None:
    answer = send(stack, method, path, None)
    assert answer.status == status
    assert "Location" not in answer.headers
    assert answer.body == b"" or answer.json["status"] == status


@pytest.mark.parametrize("path", ["//v1/admin/workers", "/v1/admin%2fworkers"])
def test_another_spelling_of_an_admin_path_is_404_for_admins_too(stack: Stack, path: str) -> None:
    token = stack.mint.access_token(scope="wildrydes/admin", groups=["admin"])
    assert send(stack, "GET", path, f"Bearer {token}").status == 404


def test_row_96_a_preflight_is_answered_empty_and_only_if_it_is_one(stack: Stack) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = stack.call(
        "OPTIONS", "/v1/rides", None, **{k.replace("-", "_"): v for k, v in asked.items()}
    )
    assert (answer.status, answer.body) == (204, b"")
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_row_97_every_bad_token_has_the_same_answer(stack: Stack) -> None:
    mint = stack.mint
    answers = [
        send(stack, "GET", "/v1/rides", f"Bearer {token}")
        for token in (
            forged(kid="unknown")(mint),
            forged()(mint),
            mint.access_token(exp=1),
            mint.access_token(token_use="id"),
            "nonsense",
        )
    ]
    bodies = {re.sub(rb'"request_id":"\w+"', b"", answer.body) for answer in answers}
    assert len(bodies) == 1
    varying = {"X-Request-Id", "Date"}
    headers = [
        {name: value for name, value in answer.headers.items() if name not in varying}
        for answer in answers
    ]
    assert all(each == headers[0] for each in headers)


def test_every_row_has_its_test() -> None:
    elsewhere = {93: "test_revocation", 94: "test_revocation", 95: "test_frame"}
    raw, here = {13, 15, 16}, {96, 97}
    rows = {case.row for case in CASES}
    assert rows | raw | here | set(elsewhere) == set(range(1, 98))
