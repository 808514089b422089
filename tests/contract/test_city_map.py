"""What the map is drawn from: the fake and Redis show the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from service.core.city_map import CityMap
from service.core.ports import FleetIndex, WaitingRides
from service.matching.zones import zone_of
from service.model import WORLD, Box, Location, Pairing, Position, Ride, UnicornState
from service.stores.entries import dump_plan
from service.stores.redis import city_map, keys
from service.stores.redis.city_map import RedisCityMap, note
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import BATTERY_PARK, CENTRAL_PARK, NOW, a_ride, a_usable_unicorn
from tests.support.fakes_redis import FakeCityMap, FakeFleetIndex, FakeWaitingRides

STALE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
MANHATTAN = Box(-74.02, 40.70, -73.93, 40.88)
SIDNEY = Location(-33.87, 151.21)


class Town:
    """The map and what is written for it."""

    def __init__(self, city: CityMap, fleet: FleetIndex, waiting: WaitingRides, plan: Any) -> None:
        self.city, self.fleet, self.waiting = city, fleet, waiting
        self.plan: Callable[[Ride, Pairing], object] = plan

    def put(self, unicorn_id: str, at: Location, *, seconds: int = 0, **changes: Any) -> None:
        unicorn, now = a_usable_unicorn(unicorn_id=unicorn_id, **changes), NOW + seconds * SECOND
        self.fleet.record(unicorn_id, Position(at, now, 90.0), now)
        self.fleet.refresh(unicorn, now)

    def names(self, box: Box = WORLD, limit: int = 100, *, seconds: int = 0) -> list[str]:
        return sorted(u.unicorn_id for u in self.city.unicorns(box, limit, NOW + seconds * SECOND))


@pytest.fixture
def real(link: RedisLink) -> Town:
    def plan(ride: Ride, pairing: Pairing) -> None:
        link.client.hset(keys.plans(ride.zone), ride.ride_id, dump_plan(pairing))

    fleet, waiting = RedisFleetIndex(link, STALE), RedisWaitingRides(link)
    return Town(RedisCityMap(link, STALE), fleet, waiting, plan)


@pytest.fixture(params=["fake", "redis"])
def town(request: pytest.FixtureRequest) -> Town:
    if request.param == "redis":
        real: Town = request.getfixturevalue("real")
        return real
    fleet, waiting = FakeFleetIndex(STALE), FakeWaitingRides()

    def plan(ride: Ride, pairing: Pairing) -> None:
        waiting.plans.setdefault(ride.zone, {})[ride.ride_id] = pairing

    return Town(FakeCityMap(fleet, waiting), fleet, waiting, plan)


def test_a_unicorn_is_shown_with_its_state_and_its_place(town: Town) -> None:
    town.put("u1", BATTERY_PARK, version=3, state=UnicornState.RESERVED, ride_id="ride-1")
    [seen] = town.city.unicorns(MANHATTAN, 10, NOW)
    assert (seen.unicorn_id, seen.name, seen.color) == ("u1", "Shadowfax", "White")
    assert (seen.version, seen.state, seen.accepting) == (3, UnicornState.RESERVED, True)
    assert (seen.ride_id, seen.location, seen.heading) == ("ride-1", BATTERY_PARK, 90.0)
    assert seen.position_at == NOW


def test_only_what_is_in_the_box_is_shown(town: Town) -> None:
    town.put("u1", BATTERY_PARK)
    town.put("u2", CENTRAL_PARK)
    town.put("u3", SIDNEY)
    assert town.names() == ["u1", "u2", "u3"]
    assert town.names(MANHATTAN) == ["u1", "u2"]
    assert town.names(Box(151, -34, 152, -33)) == ["u3"]
    assert town.names(Box(151, -34, -73, 41)) == ["u1", "u2", "u3"]
    assert len(town.names(limit=2)) == 2


def test_a_unicorn_is_shown_where_it_is_now(town: Town) -> None:
    town.put("u1", BATTERY_PARK)
    town.fleet.record("u1", Position(CENTRAL_PARK, NOW + 40 * SECOND), NOW + 40 * SECOND)
    [seen] = town.city.unicorns(WORLD, 10, NOW + 40 * SECOND)
    assert seen.location == CENTRAL_PARK


def test_a_unicorn_in_another_zone_is_shown_there_at_once(town: Town) -> None:
    here, there = Location(40.71, -74.0), Location(40.71, -72.5)
    assert zone_of(here) != zone_of(there)
    town.put("u1", here)
    later = NOW + 600 * SECOND
    town.put("u1", here, seconds=595)
    town.fleet.record("u1", Position(there, later), later)
    town.fleet.record("u1", Position(there, later + SECOND), later + SECOND)
    assert town.names(Box(-73, 40, -72, 41), seconds=601) == ["u1"]
    assert town.names(Box(-75, 40, -73.5, 41), seconds=601) == []


def test_a_removed_unicorn_is_not_shown_in_a_zone_that_it_left(town: Town) -> None:
    here, there = Location(40.71, -74.0), Location(40.71, -72.5)
    town.put("u1", here, version=5)
    later = NOW + 30 * SECOND
    for seconds in (0, 1):
        town.fleet.record("u1", Position(there, later + seconds * SECOND), later)
    removed = a_usable_unicorn(
        unicorn_id="u1", version=6, state=UnicornState.REMOVED, accepting=False
    )
    town.fleet.refresh(removed, later)
    assert town.names(seconds=31) == []
    assert not town.city.states(later)


def test_the_newest_state_is_shown(town: Town) -> None:
    town.put("u1", BATTERY_PARK, version=2, ride_id="ride-1", state=UnicornState.RESERVED)
    town.fleet.refresh(a_usable_unicorn(unicorn_id="u1", version=1), NOW)
    [seen] = town.city.unicorns(WORLD, 10, NOW)
    assert (seen.version, seen.ride_id) == (2, "ride-1")


def test_removed_silent_and_forgotten_unicorns_are_not_shown(town: Town) -> None:
    town.put("u1", BATTERY_PARK, state=UnicornState.REMOVED, accepting=False)
    town.put("u2", BATTERY_PARK, seconds=-61)
    town.put("u3", BATTERY_PARK)
    town.fleet.forget(["u3"])
    assert town.names() == []


def test_waiting_rides_are_shown_oldest_first_with_their_plans(town: Town) -> None:
    rides = [
        a_ride(ride_id=f"ride-{age}", requested_at=NOW - age * SECOND, zone=zone_of(BATTERY_PARK))
        for age in (10, 30, 20)
    ]
    far = a_ride(ride_id="far", pickup=SIDNEY, zone=zone_of(SIDNEY))
    town.waiting.add([*rides, far])
    plan = Pairing("ride-20", "u1", 240, 1540)
    town.plan(rides[2], plan)
    shown = town.city.waiting(MANHATTAN, 10)
    assert [(each.ride.ride_id, each.plan) for each in shown] == [
        ("ride-30", None),
        ("ride-20", plan),
        ("ride-10", None),
    ]
    assert [each.ride.ride_id for each in town.city.waiting(WORLD, 1)] == ["ride-30"]
    town.waiting.discard(far.zone, ["far"])
    assert town.city.waiting(Box(151, -34, 152, -33), 10) == []


def test_the_map_takes_few_calls_and_reads_a_limited_number_of_unicorns(
    real: Town, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    with link.client.pipeline(transaction=False) as pipe:
        for number in range(30):
            name = f"u{number}"
            note(pipe, a_usable_unicorn(unicorn_id=name), Position(BATTERY_PARK, NOW), NOW)
        pipe.execute()
    monkeypatch.setattr(city_map, "MOST_READ", 20)
    link.client.config_resetstat()
    assert real.names() == []
    stats = link.client.info("commandstats")
    assert stats["cmdstat_hget"]["calls"] == 20
    assert stats["cmdstat_hvals"]["calls"] == 1


def test_entries_noted_more_than_an_hour_ago_are_deleted(real: Town, link: RedisLink) -> None:
    real.put("u1", BATTERY_PARK)
    real.put("u2", BATTERY_PARK, seconds=3601)
    real.names(seconds=3601)
    assert link.client.hkeys(keys.fleet(zone_of(BATTERY_PARK))) == ["u2"]


@pytest.mark.parametrize("entry", ["", "{}", "[2,1]", "[1,1,1]", '[1,"x","u1",1,1,1,"lost",1,1]'])
def test_an_unreadable_entry_of_the_map_is_left_out(
    real: Town, link: RedisLink, entry: str
) -> None:
    real.put("u2", BATTERY_PARK)
    link.client.hset(keys.fleet(zone_of(BATTERY_PARK)), "u1", entry)
    assert real.names() == ["u2"]
