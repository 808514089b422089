"""Sending what hostile clients send, and telling whether it had any effect."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final

import redis

from tests.support.stack import Answer, Stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLES: Final = ("RIDES_TABLE", "UNICORNS_TABLE", "OPERATIONS_TABLE")
RIDE: Final = {"pickup": {"latitude": 1.5, "longitude": 2.5}}
DETAILS: Final = {
    "missing_token": (401, "Unauthorized", "Send an access token as Authorization: Bearer."),
    "malformed_header": (
        400,
        "Bad Request",
        "Send exactly one bearer token, in the Authorization header only.",
    ),
    "invalid_token": (401, "Unauthorized", "The access token is not valid."),
    "token_too_large": (
        431,
        "Request Header Fields Too Large",
        "The access token is longer than 7 KiB; let it carry fewer groups.",
    ),
    "insufficient_scope": (
        403,
        "Forbidden",
        "The access token lacks a scope that this route needs.",
    ),
    "forbidden": (403, "Forbidden", "You are not allowed to do this."),
}
ERRORS: Final = {
    "missing_token": "",
    "malformed_header": 'error="invalid_request", ',
    "invalid_token": 'error="invalid_token", ',
    "insufficient_scope": 'error="insufficient_scope", scope="{}", ',
    "forbidden": 'error="insufficient_scope", ',
}


def happened(stack: Stack, dynamodb: DynamoDBClient) -> Any:
    items = {name: dynamodb.scan(TableName=stack.environment[name])["Items"] for name in TABLES}
    with redis.Redis.from_url(stack.redis.url) as client:
        # Each process says all the time that it hears calls.
        kept = (b"wildrydes:{listening}",)
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


def challenge(stack: Stack, reason: str, scope: str) -> str | None:
    if reason not in ERRORS:
        return None  # another sign-in could not help
    url = f"http://127.0.0.1:{stack.port}/.well-known/oauth-protected-resource"
    return f'Bearer realm="wildrydes", {ERRORS[reason].format(scope)}resource_metadata="{url}"'


def check_refused(stack: Stack, answer: Answer, reason: str, scope: str) -> None:
    status, title, detail = DETAILS[reason]
    assert answer.status == status, answer.body
    assert answer.headers.get("WWW-Authenticate") == challenge(stack, reason, scope)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "reason": reason,
        "request_id": answer.headers["X-Request-Id"],
    }


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
