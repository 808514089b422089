"""A dispatch service in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from service.core import positions, staff, unicorns
from service.core.ports import Ports
from service.core.rides import RideOrder, request_ride
from service.core.times import ZoneTimes
from service.model import Location, Position, Ride, Unicorn
from tests.support.builders import NOW, a_unicorn
from tests.support.fakes import FakeAssignments, FakeRides, FakeUnicorns
from tests.support.fakes_moves import FakeMoves
from tests.support.fakes_oversight import FakeDeadLetters, FakePauses
from tests.support.fakes_redis import (
    FakeChanges,
    FakeFleetIndex,
    FakeLegs,
    FakeRoundQueue,
    FakeWaitingRides,
)
from tests.support.presence import hear_through
from tests.support.rounds import a_dispatcher

PICKUP = Location(40.7128, -74.0060)


@dataclass
class Service:
    """The use cases on fakes, with a clock the test moves."""

    now: datetime = NOW
    rides: FakeRides = field(default_factory=FakeRides)
    unicorns: FakeUnicorns = field(default_factory=FakeUnicorns)
    fleet: FakeFleetIndex = field(default_factory=FakeFleetIndex)
    waiting: FakeWaitingRides = field(default_factory=FakeWaitingRides)
    rounds: FakeRoundQueue = field(default_factory=FakeRoundQueue)
    changes: FakeChanges = field(default_factory=FakeChanges)
    pauses: FakePauses = field(default_factory=FakePauses)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    legs: FakeLegs = field(default_factory=FakeLegs)
    moves: FakeMoves = field(init=False)

    def __post_init__(self) -> None:
        self.moves = FakeMoves(self.fleet, self.waiting)
        self.ports = Ports(
            rides=self.rides,
            unicorns=self.unicorns,
            assignments=FakeAssignments(self.rides, self.unicorns),
            fleet=self.fleet,
            waiting=self.waiting,
            rounds=self.rounds,
            changes=self.changes,
            pauses=self.pauses,
            dead_letters=self.dead_letters,
            legs=self.legs,
            moves=self.moves,
        )
        self.dispatcher = a_dispatcher(self.ports, self.waiting, lambda: self.now)

    def on_routes(self, times: ZoneTimes) -> None:
        """Rounds and riders go by these travel times from now on."""
        self.ports = replace(self.ports, times=times)
        self.dispatcher = replace(self.dispatcher, ports=self.ports)

    def later(self, seconds: float) -> datetime:
        start, self.now = self.now, self.now + timedelta(seconds=seconds)
        hear_through(self.fleet, start, self.now)
        return self.now

    def request(self, rider_id: str = "rider-1", **changes: object) -> Ride:
        order = RideOrder(rider_id=rider_id, **{"pickup": PICKUP, **changes})  # type: ignore[arg-type]
        return request_ride(self.ports, order, self.now)[0]

    def on_duty(self, unicorn_id: str = "u1", at: Location = PICKUP, **changes: object) -> Unicorn:
        unicorn = a_unicorn(unicorn_id=unicorn_id, **changes)
        staff.enroll(self.ports, unicorn, at, self.now)
        return unicorns.set_availability(self.ports, unicorn_id, True, self.now)

    def drives_to(self, at: Location, unicorn_id: str = "u1") -> positions.Noted:
        return positions.record_position(self.ports, unicorn_id, Position(at, self.now), self.now)

    def run_published_rounds(self) -> int:
        """Run every published job once; returns how many there were."""
        jobs, self.rounds.published = self.rounds.published, []
        for zone, request_id in jobs:
            self.dispatcher.run(zone, request_id)
        return len(jobs)

    def forget_waiting(self) -> None:
        """Lose what Redis knows of waiting rides, and the jobs that were published for them."""
        self.rounds.published.clear()
        self.waiting.rides.clear()
        self.waiting.marks.clear()

    def stored(self, ride: Ride) -> Ride:
        stored = self.rides.get(ride.ride_id)
        assert stored
        return stored

    def stored_unicorn(self, unicorn_id: str = "u1") -> Unicorn:
        stored = self.unicorns.get(unicorn_id)
        assert stored
        return stored

    def matched(self, **changes: object) -> Ride:
        """A ride that u1 is on its way to."""
        self.on_duty(**changes)
        ride = self.request()
        self.run_published_rounds()
        return self.stored(ride)


@pytest.fixture
def service() -> Service:
    return Service()
