"""The Lambda function as API Gateway would load it: this API's routes, keys and revocations."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.entrypoints import authorizer
from service.entrypoints.authorizer import Unauthorized
from service.stores.dynamodb.schema import create_tables
from service.stores.revocations import DynamoRevocations
from tests.support.dynamodb import fresh_settings, service_client
from tests.support.infrastructure import PROJECT, MiniStack, free_port
from tests.support.token_mint import CLIENT_ID, POOL_ID, Mint, jwks

API = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test"


@pytest.fixture
def mint() -> Mint:
    return Mint()


@pytest.fixture
def revocations(
    ministack: MiniStack, mint: Mint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DynamoRevocations]:
    """The environment of the function, and the table it reads."""
    keys = tmp_path / "jwks.json"
    keys.write_bytes(jwks(mint.key))
    tables = fresh_settings()
    environment = ministack.environment | {
        "AUTH_JWKS_FILE": str(keys),
        "COGNITO_CLIENT_IDS": CLIENT_ID,
        "COGNITO_USER_POOL_ID": POOL_ID,
        "OPERATIONS_TABLE": tables.operations_table,
        "PUBLIC_URL": "https://rides.example.com",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with service_client(ministack) as client:
        create_tables(client, tables)
        yield DynamoRevocations(client, tables.operations_table)
    authorizer._handler.cache_clear()


def asked(request: str, token: str) -> dict[str, Any]:
    method, path = request.split(" ")
    return {
        "type": "TOKEN",
        "methodArn": f"{API}/{method}{path}",
        "authorizationToken": f"Bearer {token}",
    }


def effect(answer: dict[str, Any]) -> str:
    decided: str = answer["policyDocument"]["Statement"][0]["Effect"]
    return decided


@pytest.mark.usefixtures("revocations")
def test_the_routes_of_the_api_are_judged_by_their_own_declarations(mint: Mint) -> None:
    token = mint.access_token()
    assert effect(authorizer.handle(asked("GET /v1/rides/ride-1", token), None)) == "Allow"
    assert effect(authorizer.handle(asked("POST /v1/rides/ride-1/cancel", token), None)) == "Allow"
    assert effect(authorizer.handle(asked("GET /v1/fleet/me", token), None)) == "Deny"
    assert effect(authorizer.handle(asked("GET /v1/nothing", token), None)) == "Deny"


@pytest.mark.usefixtures("revocations")
def test_an_http_api_gets_a_policy_or_the_simple_answer(mint: Mint) -> None:
    event = {
        "version": "2.0",
        "routeArn": f"{API}/GET/v1/rides",
        "headers": {"authorization": f"Bearer {mint.access_token()}"},
        "requestContext": {"http": {"method": "GET", "path": "/test/v1/rides"}, "stage": "test"},
    }
    assert effect(authorizer.handle(event, None)) == "Allow"
    assert authorizer.handle_simply(event, None)["isAuthorized"] is True


def test_a_revoked_token_is_refused(mint: Mint, revocations: DynamoRevocations) -> None:
    token, now = mint.access_token(sub="rider-1"), datetime.now(UTC)
    revocations.put("sub", "rider-1", revoked_at=now, expires_at=now + timedelta(days=1))
    with pytest.raises(Unauthorized):
        authorizer.handle(asked("POST /v1/rides", token), None)


def test_nothing_is_read_from_the_environment_when_it_is_loaded() -> None:
    """The process has no setting, so reading one would end it."""
    subprocess.run(
        [sys.executable, "-c", "import service.entrypoints.authorizer"],
        check=True,
        cwd=PROJECT,
        env={"PATH": os.defpath},
    )
