"""The hostile-token table over HTTP: the answer, and that nothing else happened.

Rows 15 and 16 are the server's own business: bytes that no HTTP client would send.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis

from service.auth import policy
from tests.hostile_case import Case, accepted, invalid, is_sendable
from tests.hostile_jose import forged, genuine
from tests.hostile_tokens import CASES
from tests.infrastructure import MiniStack, RedisServer
from tests.key_server import KeyServer
from tests.stack import Answer, Stack
from tests.token_mint import Mint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLES: Final = ("RIDES_TABLE", "UNICORNS_TABLE", "OPERATIONS_TABLE")
RIDE: Final = {"pickup": {"latitude": 1.5, "longitude": 2.5}}
UNICORN: Final = {"name": "Intruder", "color": "Grey", "gender": "None"}
LOGGERS: Final = {"service.requests", "service.audit", "gunicorn.error"}
"""Those that speak when nobody is let in; what use cases and stores do is told by others."""
READS: Final = {
    policy.RIDES_READ: "/v1/rides",
    policy.ADMIN_READ: "/v1/admin/unicorns/nobody",
}
WRITES: Final = (("/v1/rides", RIDE), ("/v1/admin/unicorns", UNICORN))
DETAILS: Final = {
    "missing_token": (401, "Unauthorized", "Send an access token as Authorization: Bearer."),
    "malformed_header": (
        400,
        "Bad Request",
        "Send exactly one bearer token, in the Authorization header only.",
    ),
    "invalid_token": (401, "Unauthorized", "The access token is not valid."),
    "insufficient_scope": (403, "Forbidden", "The access token lacks a scope this needs."),
    "forbidden": (403, "Forbidden", "This is not for you."),
}
ERRORS: Final = {
    "missing_token": "",
    "malformed_header": 'error="invalid_request", ',
    "invalid_token": 'error="invalid_token", ',
    "insufficient_scope": 'error="insufficient_scope", scope="{}", ',
    "forbidden": 'error="insufficient_scope", ',
}
SENDABLE: Final = [
    case for case in CASES if case.policy in READS and is_sendable(case.build(Mint()))
]
UNSENDABLE: Final = [case for case in CASES if not is_sendable(case.build(Mint()))]


@pytest.fixture(scope="module")
def trap() -> Iterator[KeyServer]:
    """Serves keys to whoever is lured here."""
    with KeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("hostile")
    with (
        RedisServer(folder / "redis") as server,
        Stack(
            folder, ministack, server, roles=("web",), RATE_LIMIT_FAILURES="1000000/minute"
        ) as stack,
    ):
        yield stack


@pytest.fixture(scope="module")
def dynamodb(ministack: MiniStack) -> DynamoDBClient:
    return ministack.dynamodb_client()


@pytest.fixture(autouse=True)
def nothing_happens(stack: Stack, trap: KeyServer, dynamodb: DynamoDBClient) -> Iterator[None]:
    """No item written, no job queued, no ride waiting, nothing fetched, no handler heard of."""
    before = happened(stack, dynamodb)
    lines = len(stack.log("web"))
    yield
    assert happened(stack, dynamodb) == before
    assert trap.fetches == 0
    log = stack.log("web")[lines:]
    assert {json.loads(line)["logger"] for line in log.splitlines()} <= LOGGERS
    assert "eyJ" not in log


def happened(stack: Stack, dynamodb: DynamoDBClient) -> Any:
    items = {name: dynamodb.scan(TableName=stack.environment[name])["Items"] for name in TABLES}
    with redis.Redis.from_url(stack.redis.url) as client:
        # Limits count and revocations are remembered for whoever comes.
        kept = (b"wildrydes:hits:", b"wildrydes:revoked:")
        return items, {key for key in client.keys("*") if not key.startswith(kept)}


def send(
    stack: Stack, method: str, path: str, authorization: str | None, body: object = None
) -> Answer:
    """With the header's characters as the bytes of latin-1, as WSGI reads them."""
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    if body is not None:
        headers["Content-Type"] = b"application/json"
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=20)
    try:
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def challenge(stack: Stack, reason: str, scope: str) -> str:
    url = f"http://127.0.0.1:{stack.port}/.well-known/oauth-protected-resource"
    return f'Bearer realm="wildrydes", {ERRORS[reason].format(scope)}resource_metadata="{url}"'


def check_refused(stack: Stack, answer: Answer, reason: str, scope: str) -> None:
    status, title, detail = DETAILS[reason]
    assert answer.status == status, answer.body
    assert answer.headers["WWW-Authenticate"] == challenge(stack, reason, scope)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "reason": reason,
        "request_id": answer.headers["X-Request-Id"],
    }


def check(stack: Stack, case: Case) -> None:
    """Read where the case says, and where nobody is let in try to write everywhere too."""
    header = case.build(stack.mint)
    query = f"?access_token={stack.mint.access_token()}" if case.has_query_token else ""
    answer = send(stack, "GET", READS[case.policy] + query, header)
    if case.status == 200:
        assert answer.status == 200, answer.body
        return
    assert case.status == DETAILS[case.reason][0]
    check_refused(stack, answer, case.reason, case.policy.scopes[0])
    if case.status != 403:
        for path, body in WRITES:
            check_refused(stack, send(stack, "POST", path + query, header, body), case.reason, "")


@pytest.mark.parametrize("case", SENDABLE, ids=str)
def test_a_row_of_the_table_gets_its_answer_and_nothing_else(stack: Stack, case: Case) -> None:
    check(stack, case)


LURED: Final = [(make, name) for make in (forged, genuine) for name in ("jku", "x5u")]


@pytest.mark.parametrize(("make", "name"), LURED)
def test_no_url_of_a_token_is_ever_fetched(
    stack: Stack, trap: KeyServer, make: Any, name: str
) -> None:
    row, expected = (33, accepted) if make is genuine else (32, invalid)
    check(stack, expected(row, name, partial(make, **{name: trap.url})))
    if make is forged:
        check(stack, invalid(row, name, partial(make, kid="trap", **{name: trap.url})))


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


def raw(stack: Stack, request: bytes) -> bytes:
    """What comes back until the server closes the connection, which it must."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        with suppress(ConnectionResetError):
            while received := connection.recv(65536):
                answer += received
    return answer


def request_with(stack: Stack, authorization: bytes) -> bytes:
    body = json.dumps(RIDE).encode()
    return (
        b"POST /v1/rides HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%b\r\n\r\n%b" % (len(body), authorization, body)
    )


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
def test_what_no_client_would_send_ends_at_the_server(stack: Stack, case: Case) -> None:
    header = case.build(stack.mint)
    assert header is not None
    answer = raw(stack, request_with(stack, b"Authorization: " + header.encode("latin-1")))
    # Sent too fast for the server's answer to arrive, it is a mere reset.
    assert re.match(rb"HTTP/1.1 (400|431) |$", answer)


def test_two_headers_are_not_one_token(stack: Stack) -> None:
    line = f"Authorization: Bearer {stack.mint.access_token()}"
    answer = raw(stack, request_with(stack, f"{line}\r\n{line}\r\nConnection: close".encode()))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_row_13_a_token_in_a_form_or_cookie_is_none(stack: Stack) -> None:
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
            forged(mint, kid="unknown"),
            forged(mint),
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
    here = {13, 15, 16, 96, 97}
    assert {case.row for case in (*SENDABLE, *UNSENDABLE)} | here | set(elsewhere) == set(
        range(1, 98)
    )
