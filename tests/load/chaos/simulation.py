"""The use cases on fakes in virtual time, with the same history as a real run.

Deterministic: one thread, a clock that is moved, every chance from a seed. What real processes do
at the same time happens here in between: riders come while a round reads, a second round of the
zone runs while the first is about to claim, because its lease was lost.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from service.core import positions, rides, sweep, unicorns
from service.core.claims import Claim, Outcome
from service.core.ports import WaitingZone
from service.core.unicorns import Step
from service.model import (
    Location,
    Position,
    Ride,
    RideStatus,
)
from service.model.errors import DispatchError
from tests.load.chaos.evidence import Evidence
from tests.load.chaos.schedule import Habit, place
from tests.load.chaos.world import World
from tests.support.fakes_redis import FakeFleetIndex, FakeRoundLease
from tests.unit.core.conftest import Service

TICK_SECONDS: Final = 0.25
PEACE_SECONDS: Final = 60.0
NEXT_STEP: Final = {
    RideStatus.MATCHED: Step.ARRIVE,
    RideStatus.ARRIVED: Step.START,
    RideStatus.IN_PROGRESS: Step.COMPLETE,
}


class Simulation:
    """One run; `evidence` is what the checker judges."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = random.Random(world.seed)
        self._history: list[Mapping[str, Any]] = []
        self._keys: dict[str, tuple[str, str]] = {}
        self._numbers = itertools.count()
        self._open = True
        self._is_second = False
        self.service = Service()
        self.service.dispatcher = replace(self.service.dispatcher, commit_all=self._commit_all)
        self._interrupt_reading()
        self._unicorns = [f"u{number}" for number in range(world.unicorns)]
        for unicorn_id in self._unicorns:
            self._note("habit", unicorn_id=unicorn_id, habit=Habit.STEADY)
            self.service.on_duty(unicorn_id, self._somewhere())

    def run(self) -> Evidence:
        """Riders come and things break for a while, then all may end in peace."""
        world = self._world
        for tick in range(int((world.seconds + PEACE_SECONDS) / TICK_SECONDS)):
            self.service.later(TICK_SECONDS)
            self._open = tick * TICK_SECONDS < world.seconds
            self._perhaps(world.arrival, self._request)
            self._perhaps(world.lost_jobs, self._lose_jobs)
            self._perhaps(world.lost_redis, self._lose_redis)
            self.service.run_published_rounds()
            if tick % 4 == 0:
                self.service.waiting.marks.clear()  # a mark lives a second
                sweep.sweep(self.service.ports, self.service.now)
            if tick % 12 == 2:
                self._send_positions()
            self._live()
        return self.evidence()

    def evidence(self) -> Evidence:
        waiting = self.service.waiting.rides.values()
        rides = [self._stored(ride_id) for ride_id in self._keys]
        return Evidence(
            history=self._history,
            rides=[ride for ride in rides if ride],
            unicorns=[self.service.stored_unicorn(name) for name in self._unicorns],
            waiting={ride_id for zone in waiting for ride_id in zone},
        )

    def _request(self) -> None:
        number = next(self._numbers)
        who, key = f"rider-{number % 7}", f"key-{number}"
        at = self._somewhere()
        # Sent twice, as by a rider whose first answer was lost.
        for _ in range(2):
            ride = self.service.request(who, idempotency_key=key, pickup=at, note=None)
            self._keys[ride.ride_id] = who, key
            self._note("sent", who=who, key=key)
            self._look(ride)

    def _live(self) -> None:
        """Riders look and cancel, unicorns look and drive."""
        for ride_id in list(self._keys):
            ride = self._stored(ride_id)
            if ride is None or ride.is_terminal:
                continue
            self._look(ride)
            who, _ = self._keys[ride_id]
            with suppress(DispatchError):
                if self._chance.random() < self._world.cancel:
                    rides.cancel_ride(self.service.ports, ride_id, who, None, self.service.now)
                elif ride.status in NEXT_STEP and self._chance.random() < self._world.step:
                    self._drive(ride)

    def _drive(self, ride: Ride) -> None:
        step = NEXT_STEP[ride.status]
        name = ride.unicorn_id or ""
        now = self.service.now
        there = Position(ride.pickup, now)
        unicorns.advance(self.service.ports, step, name, ride.ride_id, now, there)

    def _look(self, ride: Ride) -> None:
        who, key = self._keys[ride.ride_id]
        self._note(
            "ride",
            who=who,
            key=key,
            ride_id=ride.ride_id,
            version=ride.version,
            status=ride.status,
            unicorn_id=ride.unicorn_id,
            since=self.service.now.timestamp(),
        )

    def _send_positions(self) -> None:
        for name in self._unicorns:
            position = Position(self._somewhere(), self.service.now)
            positions.record_position(self.service.ports, name, position, self.service.now)

    def _lose_jobs(self) -> None:
        self._note("fault", fault="worker killed")
        self.service.rounds.published.clear()
        self._expire_leases()

    def _lose_redis(self) -> None:
        self._note("fault", fault="Redis killed, empty after")
        self._lose_jobs()
        waiting = self.service.waiting
        for kept in (waiting.rides, waiting.plans, waiting.marks, waiting.running):
            kept.clear()
        self.service.fleet.__dict__.update(FakeFleetIndex().__dict__)

    def _expire_leases(self) -> None:
        for zone in self.service.waiting.leased:
            self.service.waiting.expire(zone)

    def _commit_all(
        self, claim: Callable[[Claim], Outcome], claims: Sequence[Claim]
    ) -> Iterable[Outcome]:
        """Before a round claims, another round of its zone may have claimed the same."""
        if claims and not self._is_second:
            self._perhaps(self._world.second_round, self._run_second_round)
        return map(claim, claims)

    def _run_second_round(self) -> None:
        """On newer positions, so that it decides otherwise."""
        self._send_positions()
        self._request()
        self._expire_leases()
        self._is_second = True
        self.service.run_published_rounds()
        self._is_second = False

    def _interrupt_reading(self) -> None:
        """A rider may come just when a round has read who waits."""
        take = self.service.waiting.take

        def taken(zone: str) -> FakeRoundLease | None:
            lease = take(zone)
            if lease:
                begin = lease.begin_round
                lease.begin_round = lambda: self._interrupted(begin)  # type: ignore[method-assign]
            return lease

        self.service.waiting.take = taken  # type: ignore[method-assign]

    def _interrupted(self, begin: Callable[[], WaitingZone]) -> WaitingZone:
        found = begin()
        self._perhaps(self._world.arrival_while_reading, self._request_and_run)
        return found

    def _request_and_run(self) -> None:
        """Its job finds the zone taken and leaves a note for the round that is under way."""
        self._request()
        self.service.run_published_rounds()

    def _perhaps(self, likelihood: float, event: Callable[[], None]) -> None:
        if self._open and self._chance.random() < likelihood:
            event()

    def _somewhere(self) -> Location:
        return Location(*place(self._chance, city=0))

    def _stored(self, ride_id: str) -> Ride | None:
        return self.service.rides.get(ride_id)

    def _note(self, what: str, **about: object) -> None:
        self._history.append({"at": self.service.now.timestamp(), "what": what, **about})
