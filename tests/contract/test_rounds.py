"""Rounds with their waiting rides, leases and fleet index in Redis, and in memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import h3
import pytest

from service.core.ports import Nearby
from service.core.sweep import sweep
from service.core.unicorns import set_availability
from service.matching.zones import zone_of, zones_within
from service.model import Location, Ride, RideStatus
from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.service import PICKUP, Service


class InMemory(Service):
    def expire_lease(self, zone: str) -> None:
        self.waiting.expire(zone)


class OnRedis(Service):
    def __init__(self, link: RedisLink) -> None:
        self.link = link
        fleet = RedisFleetIndex(link, timedelta(seconds=60))
        super().__init__(fleet=fleet, waiting=RedisWaitingRides(link))  # type: ignore[arg-type]

    def expire_lease(self, zone: str) -> None:
        self.link.client.delete(keys.lease(zone))


@pytest.fixture(params=[InMemory, OnRedis])
def service(request: pytest.FixtureRequest) -> InMemory | OnRedis:
    if request.param is InMemory:
        return InMemory()
    return OnRedis(request.getfixturevalue("link"))


def during_first_search(service: Service, happens: Callable[[], object]) -> Mock:
    """Let something happen in the midst of the first round; every search is a round's."""
    watched = Mock(wraps=service.fleet)

    def near(*places: object, **options: object) -> Nearby:
        if watched.near.call_count == 1:
            happens()
        return service.fleet.near(*places, **options)  # type: ignore[arg-type]

    watched.near.side_effect = near
    service.dispatcher = replace(service.dispatcher, ports=replace(service.ports, fleet=watched))
    return watched.near


def is_matched(service: Service, ride: Ride) -> bool:
    return service.stored(ride).status is RideStatus.MATCHED


def test_a_ride_is_matched_at_once_when_nothing_else_goes_on(service: InMemory | OnRedis) -> None:
    sleeps: list[float] = []
    service.dispatcher = replace(service.dispatcher, sleep=sleeps.append)
    rounds = during_first_search(service, lambda: None)
    service.on_duty()
    ride = service.request()
    assert service.run_published_rounds() == 1
    assert is_matched(service, ride)
    assert (rounds.call_count, sleeps) == (1, [])


def test_all_rides_that_come_during_a_round_are_served_by_one_more(
    service: InMemory | OnRedis,
) -> None:
    for number in range(13):
        service.on_duty(f"u{number}")
    first = service.request("rider")
    crowd: list[Ride] = []

    def rush() -> None:
        def trigger(number: int) -> Ride:
            ride = service.request(f"rider-{number}")
            service.dispatcher.run(ride.zone, "")  # a job for each, whoever had to publish
            return ride

        with ThreadPoolExecutor(8) as pool:
            crowd.extend(pool.map(trigger, range(12)))

    rounds = during_first_search(service, rush)
    service.run_published_rounds()
    assert rounds.call_count == 2
    assert all(is_matched(service, ride) for ride in (first, *crowd))


def test_a_ride_that_comes_during_a_round_is_in_the_next_one_of_the_same_job(
    service: InMemory | OnRedis,
) -> None:
    service.on_duty("u1")
    service.on_duty("u2")
    late: list[Ride] = []
    early = service.request("rider-1")
    rounds = during_first_search(service, lambda: late.append(service.request("rider-2")))
    service.run_published_rounds()
    assert is_matched(service, early)
    assert is_matched(service, late[0])
    assert rounds.call_count == 2


def test_a_round_that_outlives_its_lease_claims_nothing_twice(service: InMemory | OnRedis) -> None:
    service.on_duty("u1")
    service.on_duty("u2")
    rides = [service.request(f"rider-{number}") for number in range(3)]

    def overtake() -> None:
        service.expire_lease(rides[0].zone)
        service.dispatcher.run(rides[0].zone, "")

    during_first_search(service, overtake)
    service.run_published_rounds()
    drivers = [service.stored(ride).unicorn_id for ride in rides]
    assert sorted(filter(None, drivers)) == ["u1", "u2"]
    for ride, driver in zip(rides, drivers, strict=True):
        assert driver is None or service.stored_unicorn(driver).ride_id == ride.ride_id


def test_a_holder_that_lost_its_lease_does_not_release_that_of_its_successor(
    service: InMemory | OnRedis,
) -> None:
    zone = zone_of(PICKUP)
    first = service.waiting.take(zone)
    service.expire_lease(zone)
    second = service.waiting.take(zone)
    assert first
    assert second
    first.release()
    assert service.waiting.take(zone) is None
    second.release()
    assert service.waiting.take(zone)


def test_a_crowd_sees_more_unicorns_than_one_search_finds(service: InMemory | OnRedis) -> None:
    many = 2 * service.dispatcher.tuning.neighbours + 5
    for number in range(many):
        service.on_duty(f"u{number:02}")
    crowd = [service.request(f"rider-{number}") for number in range(many)]
    assert service.run_published_rounds() == 1
    assert all(is_matched(service, ride) for ride in crowd)


def across_a_border() -> tuple[Location, Location]:
    """Two places some hundred metres apart in different zones: beside a corner of both."""
    home = zone_of(PICKUP)
    latitude, longitude = h3.cell_to_boundary(home)[0]
    touching = sorted(zones_within(Location(latitude, longitude), 100) - {home})

    def towards(zone: str) -> Location:
        north, east = h3.cell_to_latlng(zone)
        return Location(latitude + (north - latitude) / 500, longitude + (east - longitude) / 500)

    return towards(home), towards(touching[0])


@pytest.mark.parametrize("swapped", [False, True])
def test_a_unicorn_beyond_the_border_of_a_zone_is_sent(
    service: InMemory | OnRedis, swapped: bool
) -> None:
    here, there = across_a_border()[:: -1 if swapped else 1]
    service.on_duty(at=there)
    ride = service.request(pickup=here)
    assert ride.zone != zone_of(there)
    service.run_published_rounds()
    assert is_matched(service, ride)


def test_a_unicorn_that_comes_on_duty_beyond_the_border_asks_for_a_round(
    service: InMemory | OnRedis,
) -> None:
    here, there = across_a_border()
    service.on_duty(at=there)
    set_availability(service.ports, "u1", False, service.now)
    ride = service.request(pickup=here)
    service.run_published_rounds()
    set_availability(service.ports, "u1", True, service.now)
    assert service.run_published_rounds() >= 1
    assert is_matched(service, ride)


def test_after_a_replica_without_marks_and_leases_is_promoted_a_sweep_triggers_the_rounds(
    service: InMemory | OnRedis,
) -> None:
    service.on_duty("u1")
    service.on_duty("u2")
    service.fleet.begin_epoch(service.now)
    rides = [service.request("rider-1"), service.request("rider-2")]
    service.rounds.published.clear()  # jobs were lost too
    service.waiting.take(rides[0].zone)  # takes the mark along
    service.expire_lease(rides[0].zone)
    service.later(3)
    sweep(service.ports, service.now)
    service.run_published_rounds()
    assert all(is_matched(service, ride) for ride in rides)


def test_after_a_restore_of_the_tables_a_ride_with_a_newer_copy_is_matched(
    service: InMemory | OnRedis,
) -> None:
    service.on_duty()
    ride = service.request()
    service.waiting.correct(replace(ride, version=ride.version + 2))
    service.run_published_rounds()
    assert is_matched(service, ride)
