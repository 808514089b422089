"""A small city: riders, unicorns, admins, workers and their clock, on any stores, in any trouble.

Each act is judged by what was stored before it: what is legal succeeds, what is not is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from service.api.representations import ride_view
from service.core import fleet, progress, supervision
from service.core.dispatch.matching import Tuning
from service.core.dispatch.remaining import RemainingTime
from service.core.dispatch.rounds import Claim, Dispatcher, Outcome
from service.core.dispatch.travel import GreatCircle
from service.core.errors import DispatchError, IdempotencyKeyReused, Unavailable
from service.core.model import Location, Position, Rating, Ride, Unicorn, UnicornState
from service.core.ports import Ports
from service.core.progress import Step
from service.core.requests import RideOrder, cancel_ride, live_view, rate_ride, request_ride
from service.core.sweep import sweep
from tests.builders import NOW, a_unicorn
from tests.fakes_redis import FakeRoundQueue
from tests.ride_faults import (
    Killed,
    Trouble,
    TroubledAssignments,
    TroubledRides,
    TroubledUnicorns,
    Unreliable,
    UnreliableLeases,
)
from tests.ride_stores import Stores
from tests.ride_witness import (
    ARRIVED,
    CANCELED,
    COMPLETED,
    ENDED,
    IN_PROGRESS,
    MATCHED,
    OFFERED,
    REQUESTED,
    Witness,
)

PLACES = (
    Location(40.7128, -74.0060),
    Location(40.7180, -74.0010),
    Location(40.7300, -73.9900),
    Location(48.1372, 11.5755),
)
"""Three within reach of each other, one far away."""

FROM = {
    Step.ACCEPT: {OFFERED},
    Step.DECLINE: {OFFERED, MATCHED, ARRIVED},
    Step.ARRIVE: {MATCHED},
    Step.START: {ARRIVED},
    Step.COMPLETE: {IN_PROGRESS},
}
REACHES = {
    Step.ACCEPT: MATCHED,
    Step.ARRIVE: ARRIVED,
    Step.START: IN_PROGRESS,
    Step.COMPLETE: COMPLETED,
}


class City:
    """Everybody who acts, one after the other, unless trouble lets them act in between."""

    def __init__(self, stores: Stores) -> None:
        self.now = NOW
        self.stores = stores
        self.witness = Witness(lambda: self.now, self._has_plan)
        self.trouble = trouble = Trouble(stores, self.witness)
        self.rounds = FakeRoundQueue()
        self.present: dict[str, Location] = {}
        self.in_flight: list[tuple[Callable[[Claim], Outcome], Sequence[Claim]]] = []
        self.ports = Ports(
            rides=TroubledRides(stores, trouble),
            unicorns=TroubledUnicorns(stores, trouble),
            assignments=TroubledAssignments(stores, trouble),
            fleet=Unreliable(stores.fleet, trouble),
            waiting=Unreliable(stores.waiting, trouble),
            rounds=self.rounds,
            changes=Unreliable(stores.changes, trouble),
        )
        self.dispatcher = Dispatcher(
            ports=self.ports,
            leases=UnreliableLeases(stores, trouble),
            tuning=Tuning(),
            travel=GreatCircle(),
            remaining=RemainingTime.default(),
            now=lambda: self.now,
            monotonic=lambda: self.now.timestamp(),
            sleep=lambda _: None,
            commit_all=map,
        )

    # Riders

    def request(self, rider: str, pickup: int, dropoff: int | None, key: str | None) -> None:
        order = RideOrder(
            rider_id=rider,
            pickup=PLACES[pickup],
            dropoff=None if dropoff is None else PLACES[dropoff],
            idempotency_key=key,
        )
        known = self.witness.rides.get(order.ride_id) if key else None
        same = known is None or known.fingerprint == order.fingerprint
        answer = self._expect(same, lambda: request_ride(self.ports, order, self.now))
        if isinstance(answer, tuple):
            self.witness.shown(answer[0])
            assert same
            assert key is None or answer[0].ride_id == order.ride_id
        else:
            assert answer is None or isinstance(answer, IdempotencyKeyReused | Unavailable)

    def cancel(self, ride_id: str) -> None:
        ride = self.witness.rides[ride_id]
        legal = ride.status in {REQUESTED, OFFERED, MATCHED, ARRIVED, CANCELED}
        self._shown(
            self._expect(
                legal,
                lambda: cancel_ride(self.ports, ride.ride_id, ride.rider_id, "rain", self.now),
            )
        )

    def rate(self, ride_id: str, stars: int) -> None:
        ride = self.witness.rides[ride_id]
        rating = Rating(stars)
        self._shown(
            self._expect(
                ride.status is COMPLETED,
                lambda: rate_ride(self.ports, ride.ride_id, ride.rider_id, rating, self.now),
            )
        )

    def look(self, ride_id: str) -> None:
        """The rider looks: no older version than before, no unicorn that was only asked."""
        seen = self.ports.rides.get(ride_id)
        assert seen
        self._shown(seen)
        live = live_view(self.ports, seen, self.now)
        if seen.status in {REQUESTED, OFFERED}:
            assert ride_view(seen)["unicorn"] is None
            assert live.position is None
            assert live.pickup_eta_seconds is None

    # Unicorns

    def enroll(self, unicorn_id: str, at: int, auto_accept: bool) -> None:
        unicorn = a_unicorn(unicorn_id=unicorn_id, auto_accept=auto_accept)
        at_place = PLACES[at]
        self._expect(
            True, lambda: fleet.enroll(self.ports, unicorn, at_place, self.now), again=False
        )
        self.present[unicorn_id] = PLACES[at]

    def go(self, unicorn_id: str, *, on_duty: bool) -> None:
        self._expect(
            self.witness.unicorns[unicorn_id].state is not UnicornState.REMOVED,
            lambda: progress.set_availability(self.ports, unicorn_id, on_duty, self.now),
        )

    def step(self, unicorn_id: str, ride_id: str, step: Step) -> None:
        ride = self.witness.rides[ride_id]
        own = ride.unicorn_id == unicorn_id
        legal = own and ride.status in FROM[step]
        if step is Step.ACCEPT:
            legal = legal and ride.due_at is not None and self.now < ride.due_at
        done = own and ride.status is REACHES.get(step)
        if step is Step.DECLINE:
            done = ride.status is REQUESTED and unicorn_id in ride.excluded
        self._expect(
            legal or done,
            lambda: progress.advance(self.ports, step, unicorn_id, ride_id, self.now),
        )

    def send_positions(self) -> None:
        """Every unicorn that is still there says where it is."""
        for unicorn_id, at in self.present.items():
            answer = self._attempt(
                lambda: progress.record_position(
                    self.ports,
                    unicorn_id,
                    Position(at, self.now),
                    self.now,
                )
            )
            if isinstance(answer, Unicorn):
                self.witness.heard_at[unicorn_id] = self.now

    # Admins

    def cancel_as_admin(self, ride_id: str) -> None:
        status = self.witness.rides[ride_id].status
        self._expect(
            status is CANCELED or status not in ENDED,
            lambda: supervision.cancel_as_admin(self.ports, ride_id, "storm", self.now),
        )

    def reassign(self, ride_id: str) -> None:
        self._expect(
            self.witness.rides[ride_id].status in {OFFERED, MATCHED, ARRIVED},
            lambda: supervision.reassign_ride(self.ports, ride_id, self.now),
            again=False,
        )

    def remove(self, unicorn_id: str) -> None:
        self._expect(
            self.witness.unicorns[unicorn_id].ride_id is None,
            lambda: supervision.remove_unicorn(self.ports, unicorn_id, None, self.now),
        )

    # Workers and time

    def sweep(self) -> None:
        self._attempt(lambda: sweep(self.ports, self.now))

    def run_job(self, number: int, *, keep: bool = False) -> None:
        """A job of the queue, delivered; `keep`: and delivered again later."""
        jobs = self.rounds.published
        job = jobs[number % len(jobs)] if keep else jobs.pop(number % len(jobs))
        self._attempt(lambda: self.dispatcher.run(*job))

    def run_jobs(self) -> None:
        while self.rounds.published:
            self.run_job(0)

    def decide_only(self, zone: str) -> None:
        """A round that gets stuck before its claims are written; its lease ends meanwhile."""

        def keep(claim: Callable[[Claim], Outcome], claims: Sequence[Claim]) -> list[Outcome]:
            self.in_flight.append((claim, claims))
            return []

        stuck = replace(self.dispatcher, commit_all=keep)
        self._attempt(lambda: stuck.run(zone, ""))

    def claim_late(self) -> None:
        """What rounds decided some time ago is written only now."""
        while self.in_flight:
            claim, claims = self.in_flight.pop()
            self._attempt(lambda: [claim(c) for c in claims])  # noqa: B023

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.stores.pass_time(seconds)

    def lose_redis(self) -> None:
        self.stores.lose_redis()
        self.witness.silence_counts_from = self.now

    # How an act is carried out

    def _expect(self, legal: bool, act: Callable[[], Any], *, again: bool = True) -> Any:
        """Act; nothing else going on, it succeeds if it is legal. `again`: it may be repeated."""
        trouble = self.trouble
        certain = not trouble.meanwhile and not trouble.writer_dies
        certain = certain and (again or not trouble.answer_is_lost)
        answer = self._attempt(act)
        refused = isinstance(answer, DispatchError)
        assert not certain or refused != legal, f"legal: {legal}, answer: {answer!r}"
        return answer

    def _attempt(self, act: Callable[[], Any]) -> Any:
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

    def _shown(self, answer: object) -> None:
        if isinstance(answer, Ride):
            self.witness.shown(answer)

    def _has_plan(self, ride: Ride) -> bool:
        away = self.trouble.redis_is_away
        return not away and self.stores.waiting.plan_of(ride.zone, ride.ride_id) is not None
