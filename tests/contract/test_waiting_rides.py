"""Waiting rides, marks and leases behave the same in Redis and in the fake."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import pytest

from service.core.ports import LeaseLost, RoundLease, RoundLeases, WaitingRides
from service.model import Pairing
from service.observability.instruments import UNREADABLE_ENTRIES
from service.stores.entries import dump_ride
from service.stores.redis import keys, leases, rounds
from service.stores.redis.link import RedisLink
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import NOW, a_ride
from tests.support.fakes_redis import FakeWaitingRides
from tests.support.infrastructure import wait_until

ZONE = a_ride().zone


class Waiting(WaitingRides, RoundLeases, Protocol):
    """Both ports; one class serves them."""


@pytest.fixture(params=["fake", "redis"])
def waiting(request: pytest.FixtureRequest) -> Waiting:
    if request.param == "fake":
        return FakeWaitingRides()
    return RedisWaitingRides(request.getfixturevalue("link"))


def take(waiting: RoundLeases, zone: str = ZONE) -> RoundLease:
    lease = waiting.take(zone)
    assert lease
    return lease


@pytest.fixture
def expire(waiting: Waiting, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Ends the zone's lease as if its holder had died some time ago."""
    if isinstance(waiting, FakeWaitingRides):
        return lambda: waiting.expire(ZONE)
    link: RedisLink = request.getfixturevalue("link")
    return lambda: link.client.delete(keys.lease(ZONE)) and None


@pytest.fixture
def another(waiting: Waiting) -> Callable[[str], bool]:
    return lambda ride_id: bool(waiting.add([a_ride(ride_id=ride_id)]))


def test_only_the_first_of_many_producers_has_to_publish(another: Callable[[str], bool]) -> None:
    with ThreadPoolExecutor(16) as pool:
        marked = list(pool.map(another, [f"ride-{n}" for n in range(50)]))
    assert marked.count(True) == 1


def test_a_round_sees_every_ride_as_it_was_added(waiting: Waiting) -> None:
    rides = [a_ride(ride_id=f"ride-{n}", note=None, excluded=frozenset({"u9"})) for n in range(3)]
    for ride in rides:
        waiting.add([ride])
    lease = take(waiting)
    begun = lease.begin_round()
    assert sorted(begun.rides, key=lambda ride: ride.ride_id) == rides
    assert (begun.plans, begun.suspects, begun.resume_at) == ({}, {}, None)


def test_a_ride_added_again_replaces_its_entry(waiting: Waiting) -> None:
    waiting.add([a_ride(version=1)])
    waiting.add([a_ride(version=3)])
    lease = take(waiting)
    assert [ride.version for ride in lease.begin_round().rides] == [3]


def test_a_corrected_ride_asks_for_no_round(waiting: Waiting) -> None:
    lease = take(waiting)
    waiting.correct(a_ride(version=3))
    assert lease.release_unless_marked()
    assert waiting.add([a_ride(version=4)])


def test_a_discarded_ride_waits_no_more(waiting: Waiting) -> None:
    ride = a_ride()
    waiting.add([ride])
    waiting.discard(ZONE, [ride.ride_id])
    lease = take(waiting)
    assert lease.begin_round().rides == []


def test_taking_the_lease_lets_the_next_producer_publish(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    assert another("first")
    assert waiting.take(ZONE)
    assert another("second")


def test_a_second_job_leaves_its_round_to_the_holder_of_the_lease(waiting: Waiting) -> None:
    waiting.add([a_ride()])
    holder = take(waiting)
    holder.begin_round()
    assert waiting.take(ZONE) is None
    assert not holder.release_unless_marked(), "the second job's request for a round was forgotten"
    holder.begin_round()
    assert holder.release_unless_marked()
    assert waiting.take(ZONE)


def test_a_ride_added_while_a_round_runs_keeps_the_holder(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    lease = take(waiting)
    lease.begin_round()
    another("late")
    assert not lease.release_unless_marked()


def test_a_ride_added_before_the_round_reads_is_in_it_and_asks_for_no_more(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    lease = take(waiting)
    another("early")
    assert [ride.ride_id for ride in lease.begin_round().rides] == ["early"]
    assert lease.release_unless_marked()


def test_a_released_lease_can_be_taken_whatever_was_asked_for(waiting: Waiting) -> None:
    lease = take(waiting)
    waiting.take(ZONE)
    lease.release()
    assert waiting.take(ZONE)


def test_only_zones_with_waiting_rides_are_marked_and_only_once(waiting: Waiting) -> None:
    elsewhere = replace(a_ride(ride_id="other"), zone="842a107ffffffff")
    waiting.add([elsewhere])
    lease = take(waiting, elsewhere.zone)
    lease.begin_round()
    lease.release_unless_marked()
    assert waiting.mark([ZONE, elsewhere.zone]) == [elsewhere.zone]
    assert waiting.mark([ZONE, elsewhere.zone]) == []


def test_plans_are_kept_for_riders_and_for_the_next_round(waiting: Waiting) -> None:
    lease = take(waiting)
    plan = Pairing("ride-1", "unicorn-1", 240, 1800)
    lease.finish_round([plan], None)
    assert waiting.plan_of(ZONE, "ride-1") == plan
    assert waiting.plan_of(ZONE, "ride-2") is None
    assert lease.begin_round().plans == {"ride-1": plan}
    lease.finish_round([], None)
    assert waiting.plan_of(ZONE, "ride-1") is None


def test_a_round_with_riders_logs_the_line_that_scaling_needs(
    link: RedisLink, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = RedisWaitingRides(link)
    waiting.add([a_ride(ride_id="ride-1")])
    lease = take(waiting)
    with caplog.at_level("INFO"):
        lease.begin_round()
        lease.finish_round([], None)
        waiting.discard(ZONE, ["ride-1"])
        lease.begin_round()
        lease.finish_round([], None)
    (line,) = [vars(record) for record in caplog.records if record.message == "round"]
    assert (line["zone"], line["rides"]) == (ZONE, 1)
    assert 0 <= line["trigger_lag_seconds"] < 60
    assert 0 <= line["round_seconds"] < 60


def entry(**changes: object) -> bytes:
    """The entry of a waiting ride, with some fields changed."""
    _, record = json.loads(dump_ride(a_ride(ride_id="bad")))
    return json.dumps([1, record | changes]).encode()


UNREADABLE = [
    b"[1,null]",
    b'[1,"x"]',
    b"[1,[]]",
    b"[" * 200_000,
    b"\xff\xfe",
    b'[1,{"note":"\xff"}]',
    entry(pickup={"latitude": float("nan"), "longitude": 0}),
    entry(pickup={"latitude": 91, "longitude": 0}),
    entry(dropoff={"latitude": 0, "longitude": 1e400}),
    entry(requested_at="2026-11-23T02:46:28"),
    entry(deadline_at="soon"),
    entry(excluded=[["u1"]]),
    entry(status="matched"),
    entry(ride_id="another"),
    entry(zone="832a10fffffffff0"),
    entry(version="one"),
]


@pytest.mark.parametrize("content", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_waiting_ride_is_counted_and_dropped_alone(
    link: RedisLink, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = RedisWaitingRides(link)
    waiting.add([a_ride(ride_id="ride-1")])
    counted = UNREADABLE_ENTRIES.labels("ride")._value.get()
    for name in (b"bad", b"\xff"):
        link.client.hset(keys.waiting(ZONE), name, content)
    lease = take(waiting)
    assert [ride.ride_id for ride in lease.begin_round().rides] == ["ride-1"]
    assert link.client.hkeys(keys.waiting(ZONE)) == ["ride-1"]
    assert UNREADABLE_ENTRIES.labels("ride")._value.get() == counted + 2
    lines = [vars(record) for record in caplog.records if record.message == "unreadable entry"]
    assert [line["kind"] for line in lines] == ["ride", "ride"]
    assert not any("rider-1" in str(line) for line in lines), "personal data in the log"
    lease.release()


@pytest.mark.parametrize("content", [b"\xff", b"[1]", b'[1,["u1"],"x",0]', b"[1,{},60,400]", b"3"])
def test_an_unreadable_plan_is_ignored(link: RedisLink, content: bytes) -> None:
    waiting = RedisWaitingRides(link)
    link.client.hset(keys.plans(ZONE), "ride-1", content)
    link.client.set(keys.triggered(ZONE), content)
    link.client.set(keys.resume(ZONE), content)
    lease = take(waiting)
    begun = lease.begin_round()
    assert begun.resume_at is None
    assert all(isinstance(plan.unicorn_id, str) for plan in begun.plans.values())
    lease.release()


def test_a_job_that_finds_the_lease_held_keeps_the_mark_as_long_as_the_lease(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    assert another("first")
    holder = take(waiting)
    holder.begin_round()
    assert waiting.take(ZONE) is None
    assert not another("second"), "a job is published though the holder goes round once more"
    holder.release()
    assert another("third"), "a mark is left that no job stands behind"


def test_only_a_refused_jobs_mark_is_dropped_by_a_holder_that_gives_up(
    waiting: Waiting, another: Callable[[str], bool]
) -> None:
    holder = take(waiting)
    assert another("published")
    holder.release()
    assert not another("late"), "a second job is published beside the one that is on its way"


def test_a_job_that_has_lost_its_lease_writes_nothing(
    waiting: Waiting, expire: Callable[[], None]
) -> None:
    waiting.add([a_ride(ride_id="ride-1")])
    late = take(waiting)
    late.begin_round()
    expire()
    holder = take(waiting)
    plan = Pairing("ride-1", "unicorn-1", 240, 1800)
    assert holder.begin_round().suspects == {"ride-1": 0}
    holder.finish_round([plan], (NOW, "ride-1"))
    writes = [
        late.begin_round,
        lambda: late.finish_round([], None),
        lambda: late.try_alone("ride-1"),
        lambda: late.clear("ride-1"),
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    late.release_after_error()
    assert late.release_unless_marked()
    assert waiting.take(ZONE) is None, "the holder's lease was given back"
    holder.try_alone("ride-1")
    with pytest.raises(LeaseLost):
        late.clear("ride-1")
    begun = holder.begin_round()
    assert begun.plans == {"ride-1": plan}
    assert begun.suspects == {"ride-1": 0}
    assert begun.resume_at == (NOW, "ride-1")
    holder.release()


def test_a_lease_is_renewed_until_it_is_released(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a claim takes: the mark of a refused job is renewed with it."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    client, waiting = link.client, RedisWaitingRides(link)
    lease = take(waiting)
    assert waiting.take(ZONE) is None
    for name in (keys.lease(ZONE), keys.mark(ZONE)):
        client.pexpire(name, 500)
        wait_until(lambda name=name: client.pttl(name) > 1000, f"{name} is renewed")
    lease.release()
    assert client.exists(keys.lease(ZONE), keys.mark(ZONE)) == 0
    thread = lease._renewal
    thread.join(5)
    assert not thread.is_alive()


def test_a_lease_that_a_round_takes_again_is_renewed_again(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was frozen for longer than its lease goes on with its zone."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    client, lease = link.client, take(RedisWaitingRides(link))
    client.delete(keys.lease(ZONE))
    time.sleep(0.1)
    lease.begin_round()
    client.pexpire(keys.lease(ZONE), 500)
    wait_until(lambda: client.pttl(keys.lease(ZONE)) > 1000, "the lease is renewed")
    lease.release()


def test_the_suspects_of_a_zone_without_further_rounds_are_forgotten(link: RedisLink) -> None:
    waiting = RedisWaitingRides(link)
    waiting.add([a_ride(ride_id="suspect")])
    take(waiting).release()
    for release in ("release", "release_after_error"):
        lease = take(waiting)
        lease.begin_round()
        getattr(lease, release)()
        assert 0 < link.client.pttl(keys.running(ZONE)) <= leases.RUNNING_MS


def test_an_exception_makes_no_suspects_and_clears_none(waiting: Waiting) -> None:
    waiting.add([a_ride(ride_id="suspect")])
    lease = take(waiting)
    lease.begin_round()
    lease.release()
    waiting.add([a_ride(ride_id="healthy")])
    lease = take(waiting)
    assert lease.begin_round().suspects == {"suspect": 0}
    lease.release_after_error()
    lease = take(waiting)
    assert lease.begin_round().suspects == {"suspect": 0}
    lease.release()


def test_a_plan_that_no_round_makes_again_is_forgotten(link: RedisLink) -> None:
    lease = take(RedisWaitingRides(link))
    lease.finish_round([Pairing("ride-1", "u1", 60, 500)], None)
    left = link.client.pttl(keys.plans(ZONE))
    assert rounds.PLANS_MS - 5000 < left <= rounds.PLANS_MS
