"""Steps of a ride send Redis no command that they do not need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis

from service.core.effects import after_write
from service.matching.zones import zone_of
from service.model import Location, Position, RideStatus
from service.model.unicorn import Trip
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.infrastructure import RedisServer
from tests.support.service import Service

HERE = Location(40.71, -74.0)


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


def sent(server: Any) -> dict[str, int]:
    """How often each command was sent since the last reset."""
    stats = server.info("commandstats")
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}


def test_marking_zones_does_not_ask_redis_whether_it_has_the_script(
    link: RedisLink, server: Any
) -> None:
    waiting = RedisWaitingRides(link)
    ride = a_ride()
    waiting.add([ride])
    waiting.mark([ride.zone, zone_of(HERE)])
    server.config_resetstat()
    waiting.mark([ride.zone, zone_of(HERE)])
    assert sent(server)["evalsha"] == 2
    assert "script|exists" not in sent(server)


def test_a_position_on_a_trip_removes_the_unicorn_from_no_set(link: RedisLink, server: Any) -> None:
    fleet = RedisFleetIndex(link, timedelta(seconds=60))
    on_trip = a_usable_unicorn().reserved("ride-1", Trip(HERE, HERE)).departed("ride-1", NOW)
    fleet.record("u1", Position(HERE, NOW), NOW)
    fleet.refresh(on_trip, NOW)
    server.config_resetstat()
    fleet.record("u1", Position(HERE, NOW + timedelta(seconds=1)), NOW + timedelta(seconds=1))
    assert "zrem" not in sent(server)


def test_an_arrival_removes_the_unicorn_from_no_set(link: RedisLink, server: Any) -> None:
    """It changes the ride, not the unicorn, which was taken away when it was reserved."""
    fleet = RedisFleetIndex(link, timedelta(seconds=60))
    reserved = a_usable_unicorn().reserved("ride-1", Trip(HERE, HERE))
    fleet.record("u1", Position(HERE, NOW), NOW)
    fleet.refresh(reserved, NOW, 2)
    server.config_resetstat()
    fleet.refresh(reserved, NOW + timedelta(seconds=9), 3)
    assert "zrem" not in sent(server)


def test_the_later_steps_of_a_ride_delete_no_waiting_entry(link: RedisLink, server: Any) -> None:
    service = Service()
    ports = replace(
        service.ports,
        fleet=RedisFleetIndex(link, timedelta(seconds=60)),
        waiting=RedisWaitingRides(link),
    )
    ride = a_ride(status=RideStatus.MATCHED)
    server.config_resetstat()
    after_write(ports, NOW, ride=ride, unicorn=None)
    assert sent(server)["hdel"] == 1
    for status in (RideStatus.ARRIVED, RideStatus.IN_PROGRESS, RideStatus.COMPLETED):
        after_write(ports, NOW, ride=replace(ride, status=status), unicorn=None)
    assert sent(server)["hdel"] == 1
