"""The machine that rides survive on stores in memory, on real tables and a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from service.stores.redis.link import connect
from tests.infrastructure import RedisServer
from tests.ride_machine import RideMachine
from tests.ride_stores import RealServers, RealStores

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.mark.timeout(600)
def test_every_promise_holds_on_real_stores(
    dynamodb: DynamoDBClient, redis_server: RedisServer
) -> None:
    with connect(redis_server.url, timeout_seconds=5) as client:
        servers = RealServers(dynamodb, client)
        # botocore pauses before it repeats a call whose answer was lost.
        with patch("botocore.endpoint.time"):
            run_state_machine_as_test(
                lambda: RideMachine(lambda: RealStores(servers), turn_seconds=12.0),
                settings=settings(max_examples=60, stateful_step_count=20, deadline=None),
            )
