"""Readiness names the real parts that are away; each dependency has a probe or a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import ApiSettings
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, wait_until
from tests.support.stack import Stack
from tests.support.table_server import TableServer


class Parts:
    """A web process whose broker and routing engine are servers of their own."""

    def __init__(self, stack: Stack, broker: RedisServer, routing: TableServer) -> None:
        self.stack = stack
        self.broker = broker
        self.routing = routing

    def ready(self) -> tuple[int, str, list[str]]:
        answer = self.stack.call("GET", "/readyz")
        return answer.status, answer.json["status"], answer.json["failing"]

    def becomes(self, *wanted: object) -> None:
        wait_until(lambda: self.ready() == wanted, f"{wanted}")


@pytest.fixture
def parts(tmp_path: Path, ministack: MiniStack) -> Iterator[Parts]:
    with (
        TableServer() as routing,
        RedisServer(tmp_path / "redis") as redis,
        RedisServer(tmp_path / "broker") as broker,
        Stack(
            tmp_path,
            ministack,
            redis,
            roles=("web",),
            CELERY_BROKER_URL=broker.url,
            TRAVEL_TIMES_URL=routing.url,
        ) as stack,
    ):
        yield Parts(stack, broker, routing)


def test_each_part_that_is_away_is_named(parts: Parts) -> None:
    parts.becomes(200, "ready", [])
    parts.routing.status = 503
    parts.becomes(200, "degraded", ["routing"])
    parts.routing.status = 200
    parts.broker.kill()
    parts.becomes(200, "degraded", ["broker"])
    parts.stack.redis.kill()
    parts.becomes(200, "degraded", ["redis", "broker"])
    parts.broker.start()
    parts.stack.redis.start()
    parts.becomes(200, "ready", [])
    client = parts.stack.ministack.dynamodb_client()
    client.delete_table(TableName=parts.stack.settings().operations_table)
    parts.becomes(503, "unavailable", ["dynamodb"])
    assert parts.stack.call("GET", "/healthz").status == 200


def test_every_setting_that_names_a_dependency_is_asked_or_has_a_reason() -> None:
    names = {
        name.upper()
        for name in ApiSettings.model_fields
        if re.search(r"_(url|table|endpoint|file|issuers|pool_id|bucket)$|endpoint_url", name)
    } - {"LIVENESS_FILE", "TRAVEL_TIMES_MAX_TABLE"}
    runbook = (PROJECT / "docker" / "RUNBOOK.md").read_text()
    section = runbook.partition("## What readiness asks")[2]
    told = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert told == names
