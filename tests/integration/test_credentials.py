"""Credentials are renewed in the background: no call waits for a silent endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from botocore.exceptions import NoCredentialsError

from service.model.errors import Unavailable
from service.stores.control import DynamoControl
from service.stores.credentials import KeptProvider
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.schema import create_tables
from service.stores.photos import S3Photos
from tests.support.dynamodb import fresh_settings
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.local_server import LocalServer, QuietHandler
from tests.support.stack import Stack

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_dynamodb import DynamoDBClient

PROMISED_SECONDS = 5.5
STATIC = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class CredentialsServer(LocalServer):
    """The container credentials endpoint of a task. While `is_silent`, it never answers."""

    def __init__(self, key: str, secret: str) -> None:
        self._key, self._secret = key, secret
        self.is_silent = False
        self.lives_for = timedelta(hours=6)
        self.asked = 0
        self.session: Callable[[], str] = lambda: "session"
        self._end = Event()
        super().__init__(self._handler(), clients_keep_alive=True)

    def release(self) -> None:
        self._end.set()

    def document(self) -> bytes:
        expires_at = datetime.now(UTC) + self.lives_for
        return json.dumps(
            {
                "AccessKeyId": self._key,
                "SecretAccessKey": self._secret,
                "Token": self.session(),
                "Expiration": expires_at.isoformat(),
            }
        ).encode()

    def wait_while_silent(self) -> None:
        self.asked += 1
        if self.is_silent:
            self._end.wait(30)

    def _handler(server: CredentialsServer) -> type[BaseHTTPRequestHandler]:
        class Handler(QuietHandler):
            def do_GET(self) -> None:
                server.wait_while_silent()
                document = server.document()
                self.send_response(200)
                self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

        return Handler


@pytest.fixture
def server(ministack: MiniStack) -> Iterator[CredentialsServer]:
    known = ministack.environment
    with CredentialsServer(known[STATIC[0]], known[STATIC[1]]) as server:
        yield server


@pytest.fixture
def make_control(
    ministack: MiniStack, server: CredentialsServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeControl]:
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    for name in STATIC:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/role")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    made = MakeControl(ministack)
    yield made
    for client in made.clients:
        client.close()


class MakeControl:
    """Makes a store whose client finds its credentials at the endpoint."""

    def __init__(self, ministack: MiniStack) -> None:
        self._settings = fresh_settings()
        self.clients: list[DynamoDBClient] = [ministack.dynamodb_client()]
        create_tables(self.clients[0], self._settings)

    def __call__(self) -> DynamoControl:
        client = dynamodb_client(self._settings)
        self.clients.append(client)
        return DynamoControl(client, self._settings.operations_table)


def timed(control: DynamoControl) -> tuple[bool, float]:
    """Whether a call was answered, and how long it took."""
    began = time.monotonic()
    try:
        control.current()
    except Unavailable:
        return False, time.monotonic() - began
    return True, time.monotonic() - began


def twenty_at_once(control: DynamoControl) -> tuple[set[bool], float]:
    """Whether each of twenty simultaneous calls was answered, and the seconds of the longest."""
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(timed, [control] * 20))
    return {answered for answered, _ in outcomes}, max(seconds for _, seconds in outcomes)


def test_all_calls_share_the_credentials_of_one_attempt(
    server: CredentialsServer, make_control: MakeControl
) -> None:
    control = make_control()
    assert twenty_at_once(control)[0] == {True}
    assert server.asked == 1


def test_without_credentials_calls_fail_within_the_promised_time_and_recover(
    server: CredentialsServer, make_control: MakeControl
) -> None:
    server.is_silent = True
    control = make_control()
    answered, longest = twenty_at_once(control)
    assert (answered, longest < PROMISED_SECONDS) == ({False}, True)
    assert server.asked == 1, "one attempt for all"
    server.is_silent = False
    server.release()
    wait_until(lambda: timed(control)[0], "a call after the endpoint answered")


def test_good_credentials_are_used_to_their_end_while_the_endpoint_is_silent(
    server: CredentialsServer, make_control: MakeControl
) -> None:
    server.lives_for = timedelta(seconds=8)
    control = make_control()
    ends_at = time.monotonic() + 8
    server.is_silent = True
    wait_until(lambda: server.asked > 1, "an attempt to renew")
    while time.monotonic() < ends_at - 2:
        answered, longest = twenty_at_once(control)
        assert (answered, longest < PROMISED_SECONDS) == ({True}, True)
    wait_until(lambda: not timed(control)[0], "the end of the credentials")
    answered, longest = twenty_at_once(control)
    assert (answered, longest < PROMISED_SECONDS) == ({False}, True)


def test_renewed_credentials_sign_the_calls_and_are_renewed_again(
    server: CredentialsServer, make_control: MakeControl
) -> None:
    server.lives_for = timedelta(minutes=14)
    server.session = lambda: f"session-{server.asked}"
    control = make_control()
    signed_with: list[str] = []

    def note(request: AWSPreparedRequest, **_: object) -> None:
        signed_with.append(str(request.headers["X-Amz-Security-Token"]))

    make_control.clients[-1].meta.events.register("before-send.dynamodb", note)

    def calls() -> int:
        """Calls once more; returns how many sessions have signed calls so far."""
        assert timed(control)[0]
        return len(set(signed_with))

    wait_until(lambda: calls() >= 3, "calls signed with what two renewals brought")


def test_twenty_requests_to_a_process_without_credentials_are_answered_in_time(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer, server: CredentialsServer
) -> None:
    server.is_silent = True
    with Stack(
        tmp_path,
        ministack,
        redis_server,
        roles=(),
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{server.url}/role",
        **dict.fromkeys(STATIC, ""),
    ) as stack:
        stack.start("web")

        def is_there() -> bool:
            with suppress(OSError):
                return stack.call("GET", "/healthz").status == 200
            return False

        def asked(number: int) -> tuple[int, bool]:
            began = time.monotonic()
            answer = stack.call("GET", "/v1/rides", token=stack.rider_token(f"rider-{number}"))
            return answer.status, time.monotonic() - began < PROMISED_SECONDS

        wait_until(is_there, "the process")
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(asked, range(20))) == {(503, True)}
        assert server.asked == 1, "one attempt for all"
        server.is_silent = False
        server.release()
        wait_until(lambda: asked(0) == (200, True), "an answer once there are credentials")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*STATIC, "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_forms_and_links_of_photos_are_unavailable() -> None:
    """As in a process that needs S3 for the first time while the credentials' endpoint is away."""
    photos = S3Photos(Mock(), "Operations", "a-bucket", "us-east-1")
    with pytest.raises(Unavailable):
        photos.form("an-identity", "image/jpeg")
    with pytest.raises(Unavailable):
        photos.links("photos/1")


@pytest.mark.usefixtures("no_credentials")
def test_credentials_that_appear_later_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptProvider().load()
    with pytest.raises(NoCredentialsError):
        kept.get_frozen_credentials()
    monkeypatch.setenv(STATIC[0], "key")
    monkeypatch.setenv(STATIC[1], "secret")

    def are_found() -> bool:
        with suppress(NoCredentialsError):
            return kept.get_frozen_credentials().access_key == "key"
        return False

    wait_until(are_found, "the credentials")
