"""The state machine of rides, on real tables and a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from service.stores.dynamodb import assignments, updates
from service.stores.redis.link import connect
from tests.support.depth import examples
from tests.support.dynamodb import two_shards
from tests.support.infrastructure import RedisServer
from tests.support.ride_machine import RideMachine
from tests.support.ride_stores import RealServers, RealStores

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def servers(dynamodb: DynamoDBClient, redis_server: RedisServer) -> Iterator[RealServers]:
    # botocore pauses before it repeats a call whose answer was lost.
    with (
        connect(redis_server.url, timeout_seconds=5) as client,
        patch("botocore.endpoint.time"),
        two_shards(),
    ):
        yield RealServers(dynamodb, client)


@pytest.mark.hypothesis
@pytest.mark.timeout(1800)
def test_every_promise_holds_on_real_stores(servers: RealServers) -> None:
    run_state_machine_as_test(
        lambda: RideMachine(lambda: RealStores(servers), turn_seconds=12.0),
        settings=settings(max_examples=examples(30), stateful_step_count=20),
    )


def test_a_used_key_is_refused_for_another_ride_also_when_an_answer_is_lost(
    servers: RealServers,
) -> None:
    machine = RideMachine(lambda: RealStores(servers))
    machine.a_day_begins(herd=[(0, True)], pickups=[0], steps=-1)
    machine.a_rider_asks(rider="rider-1", pickup=0, dropoff=None, key="key-1")
    machine.trouble_comes(what="answer lost")
    machine.a_rider_asks(rider="rider-1", pickup=1, dropoff=None, key="key-1")
    machine.teardown()


def test_riders_lose_the_unicorns_of_a_herd_that_is_gone(servers: RealServers) -> None:
    machine = RideMachine(lambda: RealStores(servers))
    machine.a_whole_herd_vanishes(601)
    rides = machine.people.witness.rides.values()
    assert [ride.unicorn_id for ride in rides] == [None] * 3
    machine.teardown()


@pytest.mark.parametrize("guarded", [True, False])
def test_the_machine_sees_a_claim_without_condition_on_real_stores(
    servers: RealServers, guarded: bool
) -> None:
    machine = RideMachine(lambda: RealStores(servers))
    try:
        machine.a_day_begins(herd=[(0, True)], pickups=[0], steps=-1)
        machine.a_round_decides_and_gets_stuck(0)
        machine.people.cancel_as_admin(machine.ride(0))
        if guarded:
            machine.stuck_rounds_go_on()
            return
        # Conditions on what never changes always hold.
        with (
            patch.object(
                assignments, "ride_update", partial(updates.ride_update, guards=("rider_id",))
            ),
            patch.object(updates, "UNICORN_GUARDS", ("name",)),
            pytest.raises(AssertionError),
        ):
            machine.stuck_rounds_go_on()
    finally:
        machine.people.end()
