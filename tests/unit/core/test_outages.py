"""In an outage of any part no unicorn counts as silent (in virtual time)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.core.coming import is_outage
from service.core.positions import record_position
from service.core.sweep import sweep
from service.core.unicorns import record_call, unicorn_id_of
from service.hearing import HearingReports
from service.model import Location, Position, RideStatus, Trip
from service.model.errors import DispatchError, Unavailable
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.service import PICKUP, Service

RIDES = 200
EVERY_SECONDS = 15
"""How often each unicorn sends its position; their sending is spread over this time."""
BEAT_SECONDS = 3
"""How often each process reports whether it hears unicorns."""
OUTAGE_SECONDS = 180


class Part:
    """A part of the service; while it is away, each call raises `Unavailable`."""

    def __init__(self, port: object, is_away: Callable[[], bool]) -> None:
        self._port = port
        self._is_away = is_away

    def __getattr__(self, name: str) -> Any:
        if self._is_away():
            raise Unavailable("away")
        return getattr(self._port, name)


class Fleet:
    """Unicorns on their way to riders; all except those in `dead` keep sending positions."""

    def __init__(self, rides: int = RIDES) -> None:
        self.away: set[str] = set()
        self.dead: set[int] = set()
        self.service = service = Service()
        service.fleet.begin_epoch(NOW - timedelta(hours=1))
        ports = service.ports
        self.ports = replace(
            ports,
            rides=Part(ports.rides, lambda: "dynamodb" in self.away),
            unicorns=Part(ports.unicorns, lambda: "dynamodb" in self.away),
            assignments=Part(ports.assignments, lambda: "dynamodb" in self.away),
            fleet=Part(ports.fleet, lambda: "redis" in self.away),
            waiting=Part(ports.waiting, lambda: "redis" in self.away),
            changes=Part(ports.changes, lambda: "redis" in self.away),
        )
        self.apis = [HearingReports(self.ports, lambda: service.now) for _ in range(2)]
        self.rides = [self._under_way(number) for number in range(rides)]

    def _under_way(self, number: int) -> str:
        name, ports = f"u{number}", self.service.ports
        unicorn = a_usable_unicorn(unicorn_id=name, account_sub=f"driver-{number}")
        ride = a_ride(ride_id=f"ride-{number}", pickup=PICKUP, dropoff=PICKUP)
        matched = replace(
            ride,
            status=RideStatus.MATCHED,
            version=2,
            unicorn=unicorn.seen_by_rider(PICKUP),
            matched_at=NOW,
            due_at=NOW + timedelta(seconds=61),
        )
        busy = unicorn.reserved(ride.ride_id, Trip(PICKUP, PICKUP))
        ports.unicorns.create(unicorn)
        ports.unicorns.save(unicorn, busy)
        ports.rides.create(matched)
        ports.fleet.refresh(busy, NOW)
        record_position(ports, name, Position(PICKUP, NOW), NOW)
        return ride.ride_id

    def live(self, seconds: int) -> None:
        for second in range(seconds):
            self.service.now += timedelta(seconds=1)
            for number in range(second % EVERY_SECONDS, len(self.rides), EVERY_SECONDS):
                self._send(number)
            if second % BEAT_SECONDS == 0:
                for api in self.apis if "apis" not in self.away else ():
                    api.report()
            with suppress(Unavailable):
                sweep(self.ports, self.service.now)

    def _send(self, number: int) -> None:
        if number in self.dead or {"apis", "network"} & self.away:
            return
        api, subject = self.apis[number % 2], f"driver-{number}"
        if "keys" in self.away or ("one api" in self.away and number % 2):
            api.refused(None)
        elif "address limited" in self.away:
            api.refused(subject)
        else:
            try:
                self._accept(subject)
            except DispatchError:
                api.refused(subject)

    def _accept(self, subject: str) -> None:
        now = self.service.now
        at = Position(Location(PICKUP.latitude, PICKUP.longitude), now)
        record_position(self.ports, unicorn_id_of(self.ports, subject), at, now)

    def withdrawn(self) -> set[int]:
        stored = self.service.rides.get
        return {n for n, name in enumerate(self.rides) if stored(name).version != 2}  # type: ignore[union-attr]


@pytest.fixture
def fleet() -> Fleet:
    """A fleet that has worked without an outage for more than a minute."""
    fleet = Fleet()
    fleet.live(70)
    assert fleet.withdrawn() == set()
    return fleet


@pytest.mark.parametrize(
    "part", ["dynamodb", "redis", "keys", "apis", "network", "one api", "address limited"]
)
def test_no_ride_is_taken_from_unicorns_that_keep_sending(fleet: Fleet, part: str) -> None:
    fleet.away = {part}
    fleet.live(OUTAGE_SECONDS)
    fleet.away = set()
    fleet.live(90)
    assert fleet.withdrawn() == set()


@pytest.mark.parametrize("part", ["dynamodb", "redis", "keys", "apis", "network"])
def test_a_unicorn_that_does_not_come_back_after_an_outage_loses_its_ride(part: str) -> None:
    fleet = Fleet(20)
    fleet.away, fleet.dead = {part}, {7}
    fleet.live(OUTAGE_SECONDS)
    fleet.away = set()
    fleet.live(80)
    assert fleet.withdrawn() == {7}


def test_a_fleet_that_never_comes_back_keeps_its_riders_waiting_for_240_seconds_only() -> None:
    fleet = Fleet(20)
    fleet.away = {"network"}
    fleet.live(235)
    assert fleet.withdrawn() == set()
    fleet.live(30)
    assert len(fleet.withdrawn()) == 20


def test_an_outage_excuses_a_silence_for_a_limited_time() -> None:
    fleet = Fleet(20)
    fleet.away = {"network"}
    fleet.live(200)
    ride = fleet.service.rides.get(fleet.rides[0])
    longest = 3 * fleet.ports.rules.stale_after
    assert is_outage(fleet.ports, ride, longest, fleet.service.now)
    assert not is_outage(fleet.ports, ride, longest + timedelta.resolution, fleet.service.now)


@pytest.mark.parametrize("rides", [1, 2])
def test_a_small_fleet_loses_its_one_dead_unicorn(rides: int) -> None:
    fleet = Fleet(rides)
    fleet.dead = {0}
    fleet.live(80)
    assert fleet.withdrawn() == {0}


def test_a_unicorn_at_rest_that_polls_keeps_its_ride() -> None:
    fleet = Fleet(1)
    fleet.dead = {0}
    for _ in range(10):
        fleet.live(30)
        record_call(fleet.ports, "driver-0", fleet.service.now)
    assert fleet.withdrawn() == set()
