"""A process ends at each command to Redis and each request to DynamoDB that changes something."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from unittest.mock import patch

import pytest

from service.bootstrap import redis_stores
from service.core import rides, unicorns
from service.core.sweep import sweep
from service.core.unicorns import Step
from service.matching.zones import zone_of
from service.model.errors import DispatchError
from service.settings import Settings
from service.stores.dynamodb.schema import create_tables
from service.stores.redis import leases
from tests.support.builders import NOW
from tests.support.crashes import given
from tests.support.crashes.given import ORDER, RIDE_ID
from tests.support.crashes.points import Fault, ProcessEnded
from tests.support.crashes.wire import READS, RealWorld, Wire, service_on
from tests.support.dynamodb import fresh_settings, service_client, two_shards
from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.service import PICKUP, Service


def a_ride_the_sweep_is_to_find(service: Service) -> None:
    given.a_triggered_ride(service)
    service.rounds.published.clear()
    service.later(2)


SCENARIOS: dict[str, tuple[Callable[[Service], None], Callable[[Service], object]]] = {
    "request": (
        given.a_unicorn_on_duty,
        lambda service: rides.request_ride(service.ports, ORDER, service.now),
    ),
    "round and claim": (
        given.a_triggered_ride,
        lambda service: service.dispatcher.run(zone_of(PICKUP), "request-1"),
    ),
    "complete": (
        given.a_ride_in_progress,
        lambda service: unicorns.advance(service.ports, Step.COMPLETE, "u1", RIDE_ID, service.now),
    ),
    "sweep": (a_ride_the_sweep_is_to_find, lambda service: sweep(service.ports, service.now)),
}


@pytest.fixture(scope="module")
def world(ministack: MiniStack, shared_redis_server: RedisServer) -> Iterator[RealWorld]:
    settings: Settings = fresh_settings().model_copy(update={"redis_url": shared_redis_server.url})
    wire = Wire()
    stores = redis_stores(settings, timeout_seconds=2)
    with (
        # Each run must take the same steps, so no run counts on an expiry that another has set.
        patch("service.stores.redis.moves.PROLONGED_SECONDS", 0),
        closing(ministack.dynamodb_client()) as operator,
        service_client(ministack) as client,
        closing(stores.link.client),
        two_shards(),
    ):
        create_tables(operator, settings)
        wire.intercept_dynamodb(client)
        wire.intercept_redis(stores.link.client)
        service = service_on(client, stores, settings, wire)
        yield RealWorld(
            service, settings=settings, client=operator, redis=stores.link.client, wire=wire
        )


def run(world: RealWorld, name: str, fault: Fault | None = None) -> list[str]:
    """Play the scenario from the beginning; returns the steps that it took."""
    prepare, act = SCENARIOS[name]
    world.is_cleared()
    world.service.now = NOW
    prepare(world.service)
    # A sweep takes the shards in random order, and each run must take the same steps. Its dice are
    # its own: pauses before a repeated call, in any thread, roll the common ones.
    with (
        patch("service.core.sweep.random", random.Random(1)),
        world.wire.watching(fault),
        suppress(ProcessEnded),
    ):
        act(world.service)
    return list(world.wire.taken)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_stores_become_consistent_whichever_command_was_the_last(
    world: RealWorld, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine, a renewal of the lease would be one more step of some runs.
    monkeypatch.setattr(leases, "RENEW_SECONDS", 3600)
    steps = run(world, name)
    world.settles()
    done = world.outcome()
    # What holds after a step holds before the next one: nobody else does anything meanwhile.
    effects = [number for number, step in enumerate(steps) if not READS.issuperset(step.split())]
    assert len(effects) >= 3
    for fault in (Fault(effects[0], False), *(Fault(number, True) for number in effects)):
        assert run(world, name, fault) == steps[: fault.step + 1]
        world.service.rounds.published.clear()
        world.check_pairs()
        with suppress(DispatchError):
            SCENARIOS[name][1](world.service)
        world.settles()
        assert world.outcome() == done, (fault, steps[fault.step])
