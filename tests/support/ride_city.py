"""A small city: the use cases on any stores, in any trouble, with workers and a clock."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from service.core.claims import Claim, Outcome
from service.core.coming import OUTAGE_MESSAGE
from service.core.sweep import sweep
from service.model import Location, Ride
from service.model.errors import DispatchError, Unavailable
from tests.support.builders import NOW
from tests.support.fakes_moves import FakeMoves
from tests.support.fakes_oversight import FakeDeadLetters
from tests.support.fakes_redis import FakeLegs, FakeRoundQueue
from tests.support.ride_faults import (
    Killed,
    Trouble,
    TroubledAssignments,
    TroubledRides,
    TroubledUnicorns,
    Unreliable,
    UnreliableLeases,
)
from tests.support.ride_stores import Stores
from tests.support.ride_witness import Witness
from tests.support.service import a_dispatcher, fake_ports, hear_through

SET_ASIDE = "set aside"
"""No mistake: enough workers died on that ride alone."""

USE_CASES = logging.getLogger("service.core")

SEEDED_IDS = SimpleNamespace(
    uuid4=lambda: uuid.UUID(int=random.getrandbits(128), version=4), uuid5=uuid.uuid5
)
"""An example that is run again must get the same ids."""


class Mistakes(logging.Handler):
    """Errors that workers log and survive, without those that the machine causes on purpose."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in (SET_ASIDE, OUTAGE_MESSAGE):
            self.found.append(record)


class City:
    """Acts are carried out one after the other, unless trouble lets others act in between."""

    def __init__(self, stores: Stores) -> None:
        self.now = NOW
        self.stores = stores
        self.dead_letters = FakeDeadLetters()
        self.witness = Witness(lambda: self.now, self._has_plan, self._is_poison)
        self.trouble = trouble = Trouble(stores, self.witness)
        self.rounds = FakeRoundQueue()
        self.present: dict[str, Location] = {}
        self.mistakes = Mistakes()
        self._ids = patch("service.core.rides.uuid", SEEDED_IDS)
        self.in_flight: list[tuple[Callable[[Claim], Outcome], Sequence[Claim]]] = []
        self.ports = fake_ports(
            rides=TroubledRides(stores.rides, trouble),
            unicorns=TroubledUnicorns(stores.unicorns, trouble),
            assignments=TroubledAssignments(stores.assignments, trouble),
            fleet=Unreliable(stores.fleet, trouble),
            waiting=Unreliable(stores.waiting, trouble),
            rounds=self.rounds,
            changes=Unreliable(stores.changes, trouble),
            dead_letters=self.dead_letters,
            legs=Unreliable(FakeLegs(), trouble),
            moves=FakeMoves(),
        )
        leases = UnreliableLeases(stores, trouble)
        self.dispatcher = a_dispatcher(self.ports, leases, lambda: self.now)

    def begin(self) -> None:
        """Until the end, ids are predictable and the log of the use cases is read here alone."""
        self._ids.start()
        USE_CASES.addHandler(self.mistakes)
        USE_CASES.propagate = False

    def end(self) -> None:
        USE_CASES.propagate = True
        USE_CASES.removeHandler(self.mistakes)
        self._ids.stop()

    def sweep(self) -> None:
        trouble = self.trouble
        quiet = not (trouble.meanwhile or trouble.answer_is_lost or trouble.writer_dies)
        self.attempt(lambda: sweep(self.ports, self.now))
        if quiet:
            self.witness.swept()

    def run_job(self, number: int, *, keep: bool = False) -> None:
        """A job of the queue, delivered; `keep`: and delivered again later."""
        jobs = self.rounds.published
        job = jobs[number % len(jobs)] if keep else jobs.pop(number % len(jobs))
        self.attempt(lambda: self.dispatcher.run(*job))

    def run_jobs(self) -> None:
        while self.rounds.published:
            self.run_job(0)

    def decide_only(self, zone: str) -> None:
        """A round that gets stuck before its claims are written; its lease ends meanwhile."""

        def keep(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> list[Outcome]:
            self.in_flight.append((claim, claims))
            return []

        stuck = replace(self.dispatcher, commit_all=keep)
        self.attempt(lambda: stuck.run(zone, ""))

    def claim_late(self) -> None:
        """What rounds decided some time ago is written only now."""
        while self.in_flight:
            claim, claims = self.in_flight.pop()
            self.attempt(lambda: [claim(c) for c in claims])  # noqa: B023

    def pass_time(self, seconds: float) -> None:
        start, self.now = self.now, self.now + timedelta(seconds=seconds)
        self.stores.pass_time(seconds)
        hear_through(self.ports.fleet, start, self.now)

    def lose_redis(self) -> None:
        self.stores.lose_redis()
        self.witness.silence_counts_from = self.now

    def expect(self, legal: bool, act: Callable[[], Any], *, again: bool = True) -> Any:
        """Act; nothing else going on, it succeeds if it is legal. `again`: it may be repeated."""
        trouble = self.trouble
        certain = not trouble.meanwhile and not trouble.writer_dies
        certain = certain and (again or not trouble.answer_is_lost)
        answer = self.attempt(act)
        refused = isinstance(answer, DispatchError)
        assert not certain or refused != legal, f"legal: {legal}, answer: {answer!r}"
        return answer

    def attempt(self, act: Callable[[], Any]) -> Any:
        """Act; again if the answer was lost, as any client does. Errors are answers, too."""
        answer: Any = None
        try:
            answer = act()
        except Unavailable:
            answer = self._attempt_again(act)
        except DispatchError as error:
            answer = error
        except Killed:
            self.trouble.writer_is_dead = False
        if self.trouble.verdict:
            raise self.trouble.verdict
        self.witness.meddled = False
        return answer

    def _attempt_again(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except DispatchError as error:
            return error

    def _is_poison(self, ride: Ride) -> bool:
        return self.dead_letters.get(f"ride-{ride.ride_id}") is not None

    def _has_plan(self, ride: Ride) -> bool:
        away = self.trouble.redis_is_away
        return not away and self.stores.waiting.plan_of(ride.zone, ride.ride_id) is not None
