"""A pause ends, and a thousand rides of one zone are dispatched by rounds one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.claims import Claim, Outcome
from service.core.ports import RoundLease
from service.core.rounds import Dispatcher
from service.model import Location, Position, Ride, RideStatus
from service.stores.redis import keys
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.waiting import RedisWaitingRides
from tests.support.builders import a_ride, a_usable_unicorn
from tests.support.infrastructure import RedisServer
from tests.support.service import PICKUP, Service

RIDES = 1000
WORKERS = 4
CLAIM_SECONDS = 0.005
"""What a claim takes on DynamoDB."""


class Watched(Dispatcher):
    """Notes how many rounds of the zone run at the same time, and what they find."""

    most = running = 0
    lock = threading.Lock()

    def _round(self, lease: RoundLease, end: float) -> tuple[bool, bool]:
        with Watched.lock:
            Watched.running += 1
            Watched.most = max(Watched.most, Watched.running)
        try:
            return super()._round(lease, end)
        finally:
            with Watched.lock:
                Watched.running -= 1


def somewhere(number: int) -> Location:
    """One of a hundred stands a hundred metres apart."""
    north, east = number % 10, number // 10 % 10
    return Location(PICKUP.latitude + north * 1e-3, PICKUP.longitude + east * 1e-3)


@pytest.fixture
def burst(redis_server: RedisServer) -> Iterator[tuple[Service, Sequence[Ride], RedisLink]]:
    """As many waiting rides and unicorns, on a real Redis."""
    link = RedisLink(connect(redis_server.url, timeout_seconds=5))
    fleet, waiting = RedisFleetIndex(link, timedelta(seconds=600)), RedisWaitingRides(link)
    service = Service(fleet=fleet, waiting=waiting)
    herd = [a_usable_unicorn(unicorn_id=f"u{number}") for number in range(RIDES)]
    places = {u.unicorn_id: Position(somewhere(n), service.now) for n, u in enumerate(herd)}
    for unicorn in herd:
        service.unicorns.put(unicorn)
    fleet.refresh_all(herd, service.now)
    fleet.record_all(places, service.now)
    rides = [a_ride(ride_id=f"r{number}", pickup=somewhere(number)) for number in range(RIDES)]
    for ride in rides:
        service.rides.put(ride)
        service.waiting.correct(ride)
    yield service, rides, link
    link.client.connection_pool.disconnect()


def slowly(pool: ThreadPoolExecutor) -> Callable[..., Iterator[Outcome]]:
    def commit_all(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> Iterator[Outcome]:
        def commit(each: Claim) -> Outcome:
            time.sleep(CLAIM_SECONDS)
            return claim(each)

        return pool.map(commit, claims)

    return commit_all


def test_a_thousand_rides_of_one_zone_take_rounds_one_after_the_other(
    burst: tuple[Service, Sequence[Ride], RedisLink], caplog: pytest.LogCaptureFixture
) -> None:
    service, rides, link = burst
    with ThreadPoolExecutor(8) as claims, ThreadPoolExecutor(WORKERS) as workers:
        made = {name: getattr(service.dispatcher, name) for name in Dispatcher.__slots__}
        dispatcher = Watched(**made)
        dispatcher = replace(
            dispatcher, monotonic=time.monotonic, sleep=time.sleep, commit_all=slowly(claims)
        )
        # Everybody who resumes a pause, and every rider who comes, triggers the zone.
        jobs = [(rides[0].zone, "resumed")] * WORKERS
        until = time.monotonic() + 120
        while jobs and time.monotonic() < until:
            list(workers.map(lambda job: dispatcher.run(*job), jobs))
            jobs, service.rounds.published = service.rounds.published[:], []
            jobs += [(rides[0].zone, "late")] * (WORKERS - len(jobs)) if jobs else []
    assert all(service.stored(ride).status is RideStatus.MATCHED for ride in rides)
    assert Watched.most == 1, "rounds of one zone ran side by side"
    assert "tried alone" not in caplog.text, "a healthy ride was taken for a suspect"
    assert "lease lost" not in caplog.text
    assert service.dead_letters.newest(limit=1, start=None).items == ()
    zone = rides[0].zone
    assert link.client.exists(keys.lease(zone), keys.waiting(zone), keys.running(zone)) == 0
