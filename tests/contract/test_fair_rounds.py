"""Rounds are fair with either fleet index: no limit hides an eligible unicorn, all get rides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.ports import FleetIndex
from service.core.positions import Report, record_positions
from service.core.rides import cancel_ride
from service.core.travel_times import ZoneTimes
from service.core.unicorns import Step, advance
from service.matching.travel import FloatArray, GreatCircle
from service.model import Location, Position, Ride, RideStatus
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink
from tests.support.fakes_redis import FakeFleetIndex
from tests.support.service import PICKUP, Service

CAP = 480
METRE = 1 / 111_195
"""One metre to the north, degrees."""
MakeIndex = Callable[[], FleetIndex]


@pytest.fixture(params=["fake", "redis"])
def new_index(request: pytest.FixtureRequest) -> MakeIndex:
    """Makes an empty index."""
    if request.param == "fake":
        return FakeFleetIndex
    link: RedisLink = request.getfixturevalue("link")

    def make() -> FleetIndex:
        link.client.flushdb()
        return RedisFleetIndex(link, timedelta(seconds=60))

    return make


def a_service(new_index: MakeIndex, **changes: Any) -> Service:
    travel = changes.pop("travel", GreatCircle())
    service = Service(fleet=new_index())
    service.ports = replace(service.ports, times=ZoneTimes(travel))
    service.dispatcher = replace(service.dispatcher, ports=service.ports, **changes)
    return service


class River(GreatCircle):
    """West of the pickup begins the other bank, and there is no bridge."""

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres = super().estimate(origins, destinations)
        bank = PICKUP.longitude - 1e-9
        across = (origins[:, 1] < bank) != (destinations[:, 1] < bank)
        return seconds + 10_000 * across, metres


places = st.builds(
    lambda north, east: Location(PICKUP.latitude + north * METRE, PICKUP.longitude + east * METRE),
    st.sampled_from([0, 0, 10, 400, 900, 1100, 1500]),
    st.sampled_from([0, -10, 10, -300, 300, -1200, 1200]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fleet=st.lists(st.tuples(places, st.booleans()), max_size=60),
    pickups=st.lists(places, min_size=1, max_size=4),
    river=st.booleans(),
)
def test_an_eligible_unicorn_within_reach_is_found(
    new_index: MakeIndex,
    fleet: Sequence[tuple[Location, bool]],
    pickups: Sequence[Location],
    river: bool,
) -> None:
    """However many decliners, or unicorns across the river, are nearer."""
    travel = River() if river else GreatCircle()
    service = a_service(new_index, travel=travel)
    decliners = frozenset(f"u{n}" for n, (_, declines) in enumerate(fleet) if declines)
    for number, (at, _) in enumerate(fleet):
        service.on_duty(f"u{number}", at)
    rides = [service.request(f"rider-{n}", pickup=at) for n, at in enumerate(pickups)]
    for ride in rides:
        service.rides.put(replace(ride, excluded=decliners))
        service.waiting.correct(replace(ride, excluded=decliners))
    service.run_published_rounds()
    for ride in map(service.stored, rides):
        if ride.status is RideStatus.REQUESTED:
            left = [at for n, (at, declines) in enumerate(fleet) if is_free(service, n, declines)]
            assert all(seconds_between(travel, at, ride.pickup) > CAP for at in left)


def is_free(service: Service, number: int, declines: bool) -> bool:
    return not declines and service.stored_unicorn(f"u{number}").can_take_a_ride


def seconds_between(travel: GreatCircle, start: Location, end: Location) -> float:
    ends = [np.array([[at.latitude, at.longitude]]) for at in (start, end)]
    return float(travel.estimate(*ends)[0][0])


def test_sixteen_decliners_do_not_hide_the_seventeenth(new_index: MakeIndex) -> None:
    service = a_service(new_index)
    for number in range(16):
        service.on_duty(f"decliner-{number}", PICKUP)
    service.on_duty("willing", Location(PICKUP.latitude + 1500 * METRE, PICKUP.longitude))
    ride = service.request()
    excluded = frozenset(f"decliner-{n}" for n in range(16))
    service.rides.put(replace(ride, excluded=excluded))
    service.waiting.correct(replace(ride, excluded=excluded))
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "willing"


def scattered(rng: random.Random, metres: float) -> Location:
    """Within this radius of the stand, 400 m from the pickup: near enough to arrive at once."""
    north, east = rng.uniform(-1, 1), rng.uniform(-1, 1)
    return Location(
        PICKUP.latitude + (400 + north * metres * 0.7) * METRE,
        PICKUP.longitude + east * metres * 0.7 * METRE,
    )


def serve(service: Service, ride: Ride) -> str:
    """The unicorn drives the rider, and may then come back to the stand."""
    driver = service.stored(ride).unicorn_id
    assert driver, "nobody was sent"
    for step in (Step.ARRIVE, Step.START, Step.COMPLETE):
        service.later(1)
        there = Position(ride.pickup, service.now)
        advance(service.ports, step, driver, ride.ride_id, service.now, there)
    return driver


@pytest.mark.parametrize(
    ("herd", "rides", "at_once", "metres"),
    [(30, 200, 1, 0), (30, 200, 1, 45), (30, 200, 7, 45), (300, 900, 20, 0), (300, 900, 20, 45)],
)
def test_equally_near_unicorns_take_turns(
    new_index: MakeIndex, herd: int, rides: int, at_once: int, metres: float
) -> None:
    """Nobody is ever more than two rides ahead of anybody; positions are exact or scattered."""
    service, rng = a_service(new_index), random.Random(7)
    homes = {f"u{n:03}": scattered(rng, metres) for n in range(herd)}
    for name, home in homes.items():
        service.later(0.01)
        service.on_duty(name, home)
    counts = Counter(dict.fromkeys(homes, 0))
    for first in range(0, rides, at_once):
        service.later(1)
        reports = [Report(name, Position(home, service.now)) for name, home in homes.items()]
        assert not any(record_positions(service.ports, reports, service.now))
        crowd = [service.request(f"rider-{first + n}") for n in range(at_once)]
        service.run_published_rounds()
        for ride in crowd:
            driver = serve(service, ride)
            homes[driver] = scattered(rng, metres)
            counts[driver] += 1
        assert max(counts.values()) - min(counts.values()) <= 2


def test_a_rename_and_a_lost_redis_leave_the_order_of_waiting_unicorns(
    new_index: MakeIndex,
) -> None:
    service = a_service(new_index)
    for number in range(3):
        service.on_duty(f"u{number}")
        service.later(1)
    first = service.stored_unicorn("u0")
    service.unicorns.save(first, first.amended({"name": "Rocinante"}, None, service.now))
    service.ports = replace(service.ports, fleet=new_index())
    service.fleet = service.ports.fleet  # type: ignore[assignment]
    service.dispatcher = replace(service.dispatcher, ports=service.ports)
    for number in (2, 1, 0):
        service.drives_to(PICKUP, f"u{number}")
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u0"


def test_a_unicorn_that_declines_or_ends_a_ride_goes_last_but_after_a_cancelation_it_does_not(
    new_index: MakeIndex,
) -> None:
    service = a_service(new_index)
    for number in range(3):
        service.on_duty(f"u{number}", auto_accept=False)
        service.later(1)
    ride = service.request()
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u0"
    advance(service.ports, Step.DECLINE, "u0", ride.ride_id, service.now)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u1"
    cancel_ride(service.ports, ride.ride_id, "rider-1", None, service.later(1))
    for expected in ("u1", "u2", "u0"):
        ride = service.request(f"rider-of-{expected}")
        service.run_published_rounds()
        assert service.stored(ride).unicorn_id == expected
