"""The short way to DynamoDB: what it sends and answers is what botocore would."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from service.stores.dynamodb import client as clients
from service.stores.dynamodb import connections
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.signature import signed_headers
from tests.support.dynamodb import fresh_settings
from tests.support.infrastructure import wait_until
from tests.support.local_server import LocalServer, QuietHandler
from tests.support.tls import certify

NOW = 1_790_000_000.0
ITEM = {"ride_id": {"S": "r1"}, "count": {"N": "1"}, "flags": {"SS": ["a"]}, "at": {"M": {}}}
REASONS = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": ITEM}]


def refused(code: str, **members: object) -> tuple[int, str]:
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return 400, json.dumps({"__type": kind, "message": "no", **members})


ANSWERS = {
    "an item": (200, json.dumps({"Item": ITEM})),
    "nothing": (200, "{}"),
    "units": (200, '{"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.5}}'),
    "a failed condition": refused("ConditionalCheckFailedException", Item=ITEM),
    "a canceled transaction": refused("TransactionCanceledException", CancellationReasons=REASONS),
    "no table": refused("ResourceNotFoundException"),
    "a broken balancer": (503, "<html>try later</html>"),
}


class Server(LocalServer):
    """Answers every request the same; closes each connection after an answer if told to."""

    def __init__(self, status: int, body: str) -> None:
        self.headers: list[dict[str, str]] = []
        self.connections = self.ended = 0
        self.closes_silently = False
        self.ahead_seconds = 0.0
        """How far its clock is ahead of the host's. As DynamoDB's it refuses old signatures."""
        server = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def finish(self) -> None:
                super().finish()
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                server.ended += 1

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + server.ahead_seconds)

            def do_POST(self) -> None:
                server.headers.append(dict(self.headers))
                self.close_connection = server.closes_silently
                self.rfile.read(int(self.headers["Content-Length"]))
                signed_at = datetime.strptime(
                    self.headers["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z"
                )
                is_old = abs(time.time() + server.ahead_seconds - signed_at.timestamp()) > 300
                code, text = refused("InvalidSignatureException") if is_old else (status, body)
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("x-amzn-RequestId", "request-1")
                self.end_headers()
                self.wfile.write(text.encode())

        handler: type[BaseHTTPRequestHandler] = Handler
        super().__init__(handler, clients_keep_alive=True)

    def secure(self, certificate: Path, key: Path) -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )


@contextmanager
def a_client(monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, name.lower())
    client: Any = dynamodb_client(fresh_settings())
    try:
        yield client
    finally:
        client.close()


def outcome(client: Any) -> Any:
    """The answer to a read, or the error with all its fields; without the date and retries."""
    try:
        found = client.get_item(TableName="Rides", Key={"ride_id": {"S": "r1"}})
    except ClientError as error:
        found = {"raised": type(error).__name__, **error.response}
    about = found["ResponseMetadata"]
    about["HTTPHeaders"].pop("date")
    for name in ("MaxAttemptsReached", "RetryAttempts"):
        about.pop(name, None)
    return found


@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_the_signature_is_the_one_that_botocore_makes(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    body, url = b'{"TableName": "Rides"}', "https://dynamodb.eu-west-1.amazonaws.com/"
    headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/json"}
    request = {"headers": headers | {"User-Agent": "x"}, "url": url, "body": body}
    keys = ReadOnlyCredentials("id", "secret", token)
    signed = signed_headers(request, keys, "eu-west-1", NOW)
    theirs = AWSRequest("POST", url, request["headers"], body)
    instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(NOW))

    class AtThatTime(SigV4Auth):
        def _modify_request_before_signing(self, request: AWSRequest) -> None:
            request.context["timestamp"] = instant
            super()._modify_request_before_signing(request)  # type: ignore[misc]

        def add_auth(self, request: AWSRequest) -> None:
            request.context["timestamp"] = instant
            self._modify_request_before_signing(request)
            text = self.string_to_sign(request, self.canonical_request(request))
            self._inject_signature_to_request(request, self.signature(text, request))  # type: ignore[attr-defined]

    AtThatTime(Credentials("id", "secret", token), "dynamodb", "eu-west-1").add_auth(theirs)
    assert signed["Authorization"] == theirs.headers["Authorization"]
    assert signed["X-Amz-Date"] == instant


@pytest.mark.parametrize("seconds", [-3600.0, 86_400.0])
@pytest.mark.parametrize("operation", ["get_item", "delete_item", "scan", "describe_table"])
def test_a_host_whose_clock_is_wrong_signs_by_the_clock_of_dynamodb(
    monkeypatch: pytest.MonkeyPatch, operation: str, seconds: float
) -> None:
    with Server(*ANSWERS["an item"]) as server, a_client(monkeypatch, server.url) as client:
        call = partial(getattr(client, operation), TableName="Rides")
        for server.ahead_seconds in (seconds, 0.0):
            assert patiently(call, 5)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(server.headers) == 4


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answers_and_errors_are_those_of_botocore(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str]
) -> None:
    with Server(*answer) as server, a_client(monkeypatch, server.url) as direct:
        ours = outcome(direct)
        monkeypatch.setattr(clients, "send_directly", lambda *_: None)
        with a_client(monkeypatch, server.url) as plain:
            assert ours == outcome(plain)
        assert {"X-Amz-Security-Token", "Authorization"} <= server.headers[0].keys()


def test_one_connection_serves_one_call_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(200, "{}") as server, a_client(monkeypatch, server.url) as client:
        for _ in range(3):
            outcome(client)
        assert server.connections == 1


def test_a_connection_that_the_server_closed_fails_one_call_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "LIVELY_SECONDS", 60.0)
    with Server(200, "{}") as server, a_client(monkeypatch, server.url) as client:
        server.closes_silently = True
        outcome(client)
        server.closes_silently = False
        wait_until(lambda: server.ended == 1, "the end of the first connection")
        with pytest.raises(ConnectionClosedError):
            outcome(client)
        assert outcome(client)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_connection_that_the_server_closed_meanwhile_fails_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "LIVELY_SECONDS", 0.0)
    with Server(200, "{}") as server, a_client(monkeypatch, server.url) as client:
        server.closes_silently = True
        outcome(client)
        wait_until(lambda: server.ended == 1, "the end of the first connection")
        outcome(client)
        assert server.connections == 2


def test_only_a_server_with_a_trusted_certificate_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "LIVELY_SECONDS", 0.0)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certify(certificate, key)
    with Server(200, "{}") as server:
        server.secure(certificate, key)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        with a_client(monkeypatch, f"https://127.0.0.1:{server.port}") as client:
            for _ in range(2):
                assert outcome(client)["ResponseMetadata"]["HTTPStatusCode"] == 200
            assert server.connections == 1
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with (
            a_client(monkeypatch, f"https://127.0.0.1:{server.port}") as client,
            pytest.raises(EndpointConnectionError),
        ):
            outcome(client)


def test_an_answer_that_is_not_json_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Server(200, '{"Item": {') as server,
        a_client(monkeypatch, server.url) as client,
        pytest.raises(ConnectionClosedError),
    ):
        outcome(client)


def test_a_proxy_in_the_environment_leaves_all_calls_to_botocore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server(200, "{}") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with a_client(monkeypatch, "http://dynamodb.example.com") as client:
            outcome(client)
        assert proxy.headers[0]["Host"] == "dynamodb.example.com"


def test_every_other_handler_of_the_event_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with Server(200, "{}") as server, a_client(monkeypatch, server.url) as client:
        for event in ("before-call", "before-call.dynamodb", "before-call.dynamodb.GetItem"):
            client.meta.events.register(event, lambda event_name, **_: seen.append(event_name))
        outcome(client)
    assert len(seen) == 3


def test_a_failed_call_tells_the_handlers_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with a_client(monkeypatch, "http://127.0.0.1:1") as client:
        client.meta.events.register(
            "after-call-error.dynamodb",
            lambda exception, **_: told.append(type(exception).__name__),
        )
        with pytest.raises(Exception, match="Could not connect"):
            outcome(client)
    assert told == ["EndpointConnectionError"]


def test_a_kept_connection_is_open_while_nothing_has_arrived_and_reads_in_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert connections._is_open(ours)
        assert ours.gettimeout() == connections.READ_SECONDS
        theirs.send(b"unexpected")
        assert not connections._is_open(ours)
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert not connections._is_open(ours)


def test_a_new_connection_is_kept_alive_and_reads_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with connections.Connections(None)._connect(url) as made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert made.gettimeout() == connections.READ_SECONDS
