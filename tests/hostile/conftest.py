"""An API under attack, and the proof that nothing came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.hostile_http import happened
from tests.support.infrastructure import MiniStack
from tests.support.key_server import KeyServer
from tests.support.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LOGGERS: Final = {"service.requests", "service.audit", "gunicorn.error"}
"""Those that speak when nobody is let in; what use cases and stores do is told by others."""


@pytest.fixture(scope="module")
def trap() -> Iterator[KeyServer]:
    """Serves keys to whoever is lured here."""
    with KeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def dynamodb(ministack: MiniStack) -> DynamoDBClient:
    return ministack.dynamodb_client()


@pytest.fixture
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
    assert "[token]" not in log, "only the log's own filter kept a token out of it"
