"""Clocks of real parts, and jobs that expire by the service's time whatever a host's clock says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config

from service.clock import Clock
from service.stores.clocks import DynamoClock, redis_clock
from service.stores.dynamodb.schema import TABLES, create_tables
from service.stores.redis.link import RedisLink, connect
from service.stores.revocations import DynamoRevocations
from tests.support.dynamodb import fresh_settings, service_client
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, wait_until
from tests.support.stack import Stack
from worker.heartbeat import CountedRequest

HERE = {"latitude": 40.7128, "longitude": -74.006}


@pytest.fixture
def dynamo(ministack: MiniStack) -> Iterator[DynamoClock]:
    """A clock by a table that does not exist: DynamoDB's refusal has the time, too."""
    with service_client(ministack) as client:
        yield DynamoClock(client, "no-such-table")


def test_redis_and_dynamodb_tell_the_time(dynamo: DynamoClock, redis_server: RedisServer) -> None:
    link = RedisLink(connect(redis_server.url, timeout_seconds=2))
    wrong = Clock({"redis": redis_clock(link), "dynamodb": dynamo}, lambda: time.time() + 60)
    wrong.read()
    assert abs(wrong.now() - datetime.now(UTC)) < timedelta(seconds=2)
    assert not wrong.is_within_bound()


def test_a_process_that_starts_does_not_believe_a_wrong_redis(dynamo: DynamoClock) -> None:
    clock = Clock({"redis": lambda: time.time() + 3600 - time.monotonic(), "dynamodb": dynamo})
    clock.read()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=2)


def test_a_dynamodb_that_does_not_answer_tells_no_time() -> None:
    client = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert DynamoClock(client, "Rides")() is None


@contextmanager
def service_time(now: datetime) -> Iterator[None]:
    with patch.object(CountedRequest, "now", staticmethod(lambda: now), create=True):
        yield


@pytest.mark.parametrize("off", [-60, -2, 2, 60, 3600])
def test_a_job_expires_by_the_services_time(off: float) -> None:
    host = datetime.now(UTC)
    for age, expired in ((1, False), (9, False), (11, True)):
        sent = host + timedelta(seconds=off)
        job = SimpleNamespace(expires=sent + timedelta(seconds=10), id=f"{off}-{age}")
        with service_time(sent + timedelta(seconds=age)):
            assert bool(CountedRequest.maybe_expire(job)) is expired  # type: ignore[arg-type]


WRONG_CLOCK = """
import datetime, time
OFF = {off}
real = time.time
time.time = lambda: real() + OFF
class Wrong(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Wrong
"""


@pytest.fixture
def wrong_clock(tmp_path: Path, off: float) -> Path:
    """A folder for `PYTHONPATH` that sets the host's clock of a process wrong."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "sitecustomize.py").write_text(WRONG_CLOCK.format(off=off))
    return wrong


@pytest.mark.parametrize("off", [60, -60])
def test_a_command_on_a_host_whose_clock_is_off_revokes_by_the_services_time(
    wrong_clock: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    with service_client(ministack) as client:
        settings = fresh_settings()
        create_tables(client, settings)
        tables = {each.setting.upper(): getattr(settings, each.setting) for each in TABLES}
        stack = {**ministack.environment, "REDIS_URL": redis_server.url, **tables}
        subprocess.run(
            [sys.executable, "-m", "service", "revoke", "--sub", "rider-1"],
            cwd=PROJECT,
            env={**os.environ, **stack, "PYTHONPATH": str(wrong_clock)},
            check=True,
        )
        now = datetime.now(UTC)
        revoked = DynamoRevocations(client, settings.operations_table).lookup(
            {"sub": "rider-1"}, now
        )
    assert abs(revoked["sub"] - now) < timedelta(seconds=20)


@pytest.mark.parametrize("off", [60, -60])
def test_a_worker_whose_clock_is_off_by_a_minute_sweeps_and_dispatches(
    wrong_clock: Path, tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    with Stack(tmp_path, ministack, redis_server, roles=("web",)) as stack:
        stack.environment["PYTHONPATH"] = str(wrong_clock)
        stack.start("worker")
        stack.environment.pop("PYTHONPATH")
        stack.start("beat")
        wait_until(lambda: " ready." in stack.log("worker"), "start of the worker")
        stack.on_duty("driver-1", HERE)
        ride = {"pickup": HERE}
        token = stack.rider_token("rider-1")
        answer = stack.call("POST", "/v1/rides", ride, token=token, Prefer="wait=20")
        assert answer.status == 201
