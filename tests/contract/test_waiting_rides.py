"""Waiting rides, marks and leases behave the same in Redis and in the fake."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import pytest

from service.core.ports import RoundLeases, WaitingRides
from service.model import Pairing
from service.stores.redis import keys
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import a_ride
from tests.support.fakes_redis import FakeWaitingRides
from tests.support.infrastructure import RedisServer

ZONE = a_ride().zone


class Waiting(WaitingRides, RoundLeases, Protocol):
    """Both ports; one class serves them."""


@pytest.fixture(params=["fake", "redis"])
def waiting(request: pytest.FixtureRequest) -> Waiting:
    if request.param == "fake":
        return FakeWaitingRides()
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisWaitingRides(RedisLink(connect(server.url, timeout_seconds=2)))


@pytest.fixture
def another(waiting: Waiting) -> Callable[[str], bool]:
    return lambda ride_id: waiting.add(a_ride(ride_id=ride_id))


def test_only_the_first_of_many_producers_has_to_publish(another: Callable[[str], bool]) -> None:
    with ThreadPoolExecutor(16) as pool:
        marked = list(pool.map(another, [f"ride-{n}" for n in range(50)]))
    assert marked.count(True) == 1


def test_a_round_sees_every_ride_as_it_was_added(waiting: Waiting) -> None:
    rides = [a_ride(ride_id=f"ride-{n}", note=None, excluded=frozenset({"u9"})) for n in range(3)]
    for ride in rides:
        waiting.add(ride)
    lease = waiting.take(ZONE)
    assert lease
    seen, plans = lease.begin_round()
    assert sorted(seen, key=lambda ride: ride.ride_id) == rides
    assert plans == {}


def test_a_ride_added_again_replaces_what_was_known_of_it(waiting: Waiting) -> None:
    waiting.add(a_ride(version=1))
    waiting.add(a_ride(version=3))
    lease = waiting.take(ZONE)
    assert lease
    assert [ride.version for ride in lease.begin_round()[0]] == [3]


def test_a_corrected_ride_asks_for_no_round(waiting: Waiting) -> None:
    lease = waiting.take(ZONE)
    assert lease
    waiting.correct(a_ride(version=3))
    assert lease.leave()
    assert waiting.add(a_ride(version=4))


def test_a_discarded_ride_waits_no_more(waiting: Waiting) -> None:
    ride = a_ride()
    waiting.add(ride)
    waiting.discard(ZONE, [ride.ride_id])
    lease = waiting.take(ZONE)
    assert lease
    assert lease.begin_round() == ([], {})


def test_taking_the_lease_lets_the_next_producer_publish(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    assert another("first")
    assert waiting.take(ZONE)
    assert another("second")


def test_a_second_job_leaves_its_turn_to_the_lease_holder(waiting: Waiting) -> None:
    waiting.add(a_ride())
    holder = waiting.take(ZONE)
    assert holder
    holder.begin_round()
    assert waiting.take(ZONE) is None
    assert not holder.leave(), "the second job's request for a round was forgotten"
    holder.begin_round()
    assert holder.leave()
    assert waiting.take(ZONE)


def test_a_ride_added_while_a_round_runs_keeps_the_holder(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    lease = waiting.take(ZONE)
    assert lease
    lease.begin_round()
    another("late")
    assert not lease.leave()


def test_a_ride_added_before_the_round_reads_is_in_it_and_asks_for_no_more(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    lease = waiting.take(ZONE)
    assert lease
    another("early")
    rides, _ = lease.begin_round()
    assert [ride.ride_id for ride in rides] == ["early"]
    assert lease.leave()


def test_a_released_lease_can_be_taken_whatever_was_asked_for(waiting: Waiting) -> None:
    lease = waiting.take(ZONE)
    assert lease
    waiting.take(ZONE)
    lease.release()
    assert waiting.take(ZONE)


def test_only_zones_with_waiting_rides_are_marked_and_only_once(waiting: Waiting) -> None:
    elsewhere = replace(a_ride(ride_id="other"), zone="842a107ffffffff")
    waiting.add(elsewhere)
    lease = waiting.take(elsewhere.zone)
    assert lease
    lease.begin_round()
    lease.leave()
    assert waiting.mark([ZONE, elsewhere.zone]) == [elsewhere.zone]
    assert waiting.mark([ZONE, elsewhere.zone]) == []


def test_plans_are_kept_for_riders_and_for_the_next_round(waiting: Waiting) -> None:
    lease = waiting.take(ZONE)
    assert lease
    plan = Pairing("ride-1", "unicorn-1", 240, 1800)
    lease.finish_round([plan])
    assert waiting.plan_of(ZONE, "ride-1") == plan
    assert waiting.plan_of(ZONE, "ride-2") is None
    assert lease.begin_round()[1] == {"ride-1": plan}
    lease.finish_round([])
    assert waiting.plan_of(ZONE, "ride-1") is None


def test_a_round_with_riders_leaves_a_line_that_scaling_reads(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = RedisWaitingRides(RedisLink(connect(redis_server.url, timeout_seconds=2)))
    waiting.add(a_ride(ride_id="ride-1"))
    lease = waiting.take(ZONE)
    assert lease
    with caplog.at_level("INFO"):
        lease.begin_round()
        lease.finish_round([])
        waiting.discard(ZONE, ["ride-1"])
        lease.begin_round()
        lease.finish_round([])
    (line,) = [vars(record) for record in caplog.records if record.message == "round"]
    assert (line["zone"], line["rides"]) == (ZONE, 1)
    assert 0 <= line["trigger_lag_seconds"] < 60
    assert 0 <= line["round_seconds"] < 60


@pytest.mark.parametrize("content", ["[1,null]", '[1,"x"]', "[1,[]]", "[" * 200_000])
def test_an_entry_of_any_shape_is_told_apart_from_rides(
    redis_server: RedisServer, content: str
) -> None:
    link = RedisLink(connect(redis_server.url, timeout_seconds=2))
    waiting = RedisWaitingRides(link)
    waiting.add(a_ride(ride_id="ride-1"))
    link.client.hset(keys.waiting(ZONE), "bad", content)
    lease = waiting.take(ZONE)
    assert lease
    assert [ride.ride_id for ride in lease.begin_round()[0]] == ["ride-1"]
    assert lease.unreadable == {"bad": content}
