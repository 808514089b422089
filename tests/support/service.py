"""A dispatch service in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from service.core import positions, staff, unicorns
from service.core.pickup_etas import PickupEtas
from service.core.ports import FleetIndex, Ports, RoundLeases
from service.core.rides import RideOrder, request_ride
from service.core.rounds import Dispatcher
from service.core.travel_times import ZoneTimes
from service.matching.travel import GreatCircle
from service.matching.tuning import Tuning
from service.model import Location, Position, Ride, Unicorn
from service.model.errors import Unavailable
from tests.support.builders import NOW, a_unicorn
from tests.support.fakes import FakeAssignments, FakeRides, FakeUnicorns
from tests.support.fakes_moves import FakeMoves
from tests.support.fakes_oversight import FakeControl, FakeDeadLetters
from tests.support.fakes_redis import (
    FakeChanges,
    FakeFleetIndex,
    FakeLegs,
    FakeRoundQueue,
    FakeStatistics,
    FakeWaitingRides,
)

PICKUP = Location(40.7128, -74.0060)


def fake_ports(**others: Any) -> Ports:
    """All ports in memory, except for the `others`."""
    rides, unicorns = others.get("rides", FakeRides()), others.get("unicorns", FakeUnicorns())
    fleet = others.get("fleet", FakeFleetIndex())
    waiting = others.get("waiting", FakeWaitingRides())
    parts = {
        "assignments": FakeAssignments(rides, unicorns),
        "rounds": FakeRoundQueue(),
        "changes": FakeChanges(),
        "control": FakeControl(),
        "dead_letters": FakeDeadLetters(),
        "legs": FakeLegs(),
        "statistics": FakeStatistics(),
        "moves": FakeMoves(fleet, waiting),
    }
    parts["times"] = times = others.get("times", ZoneTimes(GreatCircle()))
    parts["pickup_etas"] = PickupEtas(times, {})
    named = {"rides": rides, "unicorns": unicorns, "fleet": fleet, "waiting": waiting}
    return Ports(**parts | named | others)


def a_dispatcher(ports: Ports, leases: RoundLeases, now: Callable[[], datetime]) -> Dispatcher:
    """Rounds by the clock of a test: nothing sleeps, and claims are written one by one."""
    return Dispatcher(
        ports=ports,
        dead_letters=ports.dead_letters,
        leases=leases,
        tuning=Tuning(),
        now=now,
        monotonic=lambda: now().timestamp(),
        sleep=lambda _: None,
        commit_all=map,
    )


HEARS_EVERY = timedelta(seconds=10)
"""Shorter than the gap after which nobody seems to hear."""


def hear_through(fleet: FleetIndex, start: datetime, end: datetime, process: str = "api-1") -> None:
    """One process hears everything from `start` to `end`; with Redis away it cannot say so."""
    instant = start
    while True:
        try:
            fleet.report_hearing(process, instant)
        except Unavailable:
            return
        if instant >= end:
            return
        instant = min(end, instant + HEARS_EVERY)


class Service:
    """The use cases on fakes (or on `others`), with a clock the test moves. Each port is an
    attribute, too."""

    rides: FakeRides
    unicorns: FakeUnicorns
    fleet: FakeFleetIndex
    waiting: FakeWaitingRides
    rounds: FakeRoundQueue
    changes: FakeChanges
    control: FakeControl
    dead_letters: FakeDeadLetters
    legs: FakeLegs
    moves: FakeMoves

    def __init__(self, **others: Any) -> None:
        self.now = NOW
        self.ports = fake_ports(**others)
        for each in fields(self.ports):
            setattr(self, each.name, getattr(self.ports, each.name))
        self.dispatcher = a_dispatcher(self.ports, self.waiting, lambda: self.now)

    def on_routes(self, times: ZoneTimes) -> None:
        """Rounds and riders go by these travel times from now on."""
        self.ports = replace(self.ports, times=times)
        self.dispatch_with()

    def dispatch_with(self, **ports: Any) -> None:
        """Rounds use these ports from now on."""
        self.dispatcher = replace(self.dispatcher, ports=replace(self.ports, **ports))

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

    def takes(self, ride: Ride, *steps: unicorns.Step, unicorn_id: str = "u1") -> Ride:
        """The unicorn takes these steps of the ride; returns the ride after the last one."""
        for step in steps:
            ride = unicorns.advance(self.ports, step, unicorn_id, ride.ride_id, self.now)
        return ride

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
