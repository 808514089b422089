"""A revoked subject is signed out at the pool: a session that renews itself ends, too."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from botocore.stub import ANY, Stubber

from service.auth.errors import InvalidToken
from service.auth.revocation import PoolSignOut, revoke
from service.local.identity import USER_SCOPES, Identity
from service.local.login import Login, LoginFailed
from service.local.provisioning import provision
from service.model.errors import Unavailable
from service.settings import Settings
from service.stores.cognito import CognitoUserPool, IdentityPool
from tests.support.dynamodb import new_classes_of_errors
from tests.support.fakes_oversight import FakeRevocations
from tests.support.infrastructure import CREDENTIALS, MiniStack, free_port
from tests.support.local_server import LocalServer, QuietHandler

PASSWORD = "Aa1-correct-horse"
REDIRECT = "http://127.0.0.1:8080/"
ENDPOINT = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"


@pytest.fixture(scope="module")
def identity(ministack: MiniStack) -> Identity:
    settings = Settings(
        aws_region="us-east-1",
        redis_url="redis://127.0.0.1:1/0",
        rides_table="Rides-sign-out",
        unicorns_table="Unicorns-sign-out",
        operations_table="Operations-sign-out",
    )
    return provision(ministack.url, CREDENTIALS, settings, PASSWORD, [REDIRECT])


@pytest.fixture
def pool(
    ministack: MiniStack, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> CognitoUserPool:
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    return CognitoUserPool(identity.pool_id)


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def test_after_a_revocation_a_session_cannot_renew_itself(
    ministack: MiniStack, identity: Identity, pool: CognitoUserPool
) -> None:
    login = Login(ministack.url, identity.web_client_id, REDIRECT)
    session = login.sign_in("rider", PASSWORD, USER_SCOPES["rider"])
    assert session.refresh_token is not None
    renewed = claims(login.refresh(session.refresh_token).access_token)
    store = FakeRevocations()
    now = datetime.now(UTC)
    mark = ("sub", identity.subs["rider"])
    signed_out = revoke(store, pool, mark, lambda: now, session_seconds=9, leeway_seconds=0)
    assert signed_out is PoolSignOut.DONE
    assert renewed["auth_time"] <= now.timestamp()
    with pytest.raises(LoginFailed):
        login.refresh(session.refresh_token)
    assert store.lookup(dict([mark]), now)["sub"] >= now


@pytest.mark.parametrize(
    "sub", ["a-machine", "arn:aws:iam::123456789012:role/telemetry", 'x" or sub = "y']
)
def test_a_subject_that_is_no_user_of_the_pool_needs_no_sign_out(
    pool: CognitoUserPool, sub: str
) -> None:
    assert pool.sign_out(sub) == (PoolSignOut.NO_SUCH_USER, None)


def test_a_user_of_another_identity_provider_is_found_by_its_sub(
    pool: CognitoUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_classes_of_errors(monkeypatch)
    with Stubber(pool._client) as stub:
        stub.add_client_error("admin_user_global_sign_out", "UserNotFoundException")
        stub.add_response("list_users", {"Users": [{"Username": "Google_1234"}]})
        named = {"UserPoolId": ANY, "Username": "Google_1234"}
        stub.add_response("admin_user_global_sign_out", {}, named)
        outcome, _ = pool.sign_out("0c7ff7f5-7d1d-4c9e-8f1c-0a4bcb5f2a11")
        assert outcome is PoolSignOut.DONE
        stub.assert_no_pending_responses()


def test_a_user_who_is_deleted_while_they_are_looked_up_has_no_account(
    pool: CognitoUserPool,
) -> None:
    """The pool may list a user for a moment after it was deleted."""
    with Stubber(pool._client) as stub:
        stub.add_client_error("admin_update_user_attributes", "UserNotFoundException")
        stub.add_response("list_users", {"Users": [{"Username": "Google_1234"}]})
        stub.add_client_error("admin_update_user_attributes", "UserNotFoundException")
        assert not pool.suspend("0c7ff7f5-7d1d-4c9e-8f1c-0a4bcb5f2a11", True)
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "code", ["InvalidParameterException", "UnsupportedTokenTypeException", "UnauthorizedException"]
)
def test_only_the_refresh_token_of_another_client_is_refused(
    pool: CognitoUserPool, code: str
) -> None:
    expected = pytest.raises(InvalidToken) if code == "UnauthorizedException" else nullcontext()
    with Stubber(pool._client) as stub, expected:
        stub.add_client_error("revoke_token", code)
        pool.end_session("a-refresh-token", "a-client")


def test_an_id_token_that_the_identity_pool_refuses_is_not_valid() -> None:
    identities = IdentityPool("us-east-1:a-pool", "https://issuer")
    with Stubber(identities._client) as stub:
        stub.add_client_error("get_id", "NotAuthorizedException")
        with pytest.raises(InvalidToken):
            identities.identity_of("of-a-signed-out-user")
        stub.add_client_error("get_id", "TooManyRequestsException")
        with pytest.raises(Unavailable):
            identities.identity_of("of-a-user")


class Refusing(QuietHandler):
    """Answers as AWS does to a role without the permission."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Mon, 23 Nov 2026 02:46:28 GMT"

    def do_POST(self) -> None:
        body = json.dumps({"__type": "AccessDeniedException", "message": "not authorized"}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def refusing() -> Iterator[LocalServer]:
    with LocalServer(Refusing, clients_keep_alive=True) as server:
        yield server


def test_a_missing_permission_is_reported(
    pool: CognitoUserPool,
    refusing: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(ENDPOINT, refusing.url)
    with caplog.at_level(logging.WARNING):
        answer = pool.sign_out("rider")
    assert answer == (PoolSignOut.NO_PERMISSION, datetime(2026, 11, 23, 2, 46, 28, tzinfo=UTC))
    assert "not signed out at the pool" in caplog.text


def test_a_pool_that_is_away_stops_no_revocation(
    pool: CognitoUserPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{free_port()}")
    with caplog.at_level(logging.WARNING):
        assert pool.sign_out("rider") == (PoolSignOut.FAILED, None)
    assert "not signed out at the pool" in caplog.text
