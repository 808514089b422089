"""Everything that can happen to rides, in any order, as a hypothesis state machine.

Runs on any stores. After each step the promises hold; at the end, once the trouble is over, every
ride ends, every unicorn is free and no zone waits for anybody.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.core.model import Unicorn
from service.core.progress import Step
from tests.ride_city import PLACES, City
from tests.ride_stores import Stores
from tests.ride_witness import ARRIVED, ENDED, IN_PROGRESS, MATCHED, OFFERED

USE_CASES = logging.getLogger("service.core")

NUMBERS = st.integers(0, 5)
NEAR = st.integers(0, len(PLACES) - 1)
RIDERS = st.sampled_from(["rider-1", "rider-2"])
KEYS = st.sampled_from([None, None, "key-1", "key-2"])
WAITS = st.sampled_from([0.2, 1.5, 4.0, 16.0, 61.0])
SILENCES = st.sampled_from([20.0, 61.0, 200.0, 2000.0])
RIVALS = st.sampled_from(
    ["cancel", "cancel_as_admin", "reassign", "step", "sweep", "claim_late", "run_jobs", "off_duty"]
    + ["redis_goes", "lose_redis", "remove"]
)
NEXT_STEP = {
    OFFERED: Step.ACCEPT,
    MATCHED: Step.ARRIVE,
    ARRIVED: Step.START,
    IN_PROGRESS: Step.COMPLETE,
}
TURNS_UNTIL_ALL_IS_OVER = 400


def has_rides(machine: RideMachine) -> bool:
    return bool(machine.city.witness.rides)


def has_unicorns(machine: RideMachine) -> bool:
    return bool(machine.city.witness.unicorns)


def has_both(machine: RideMachine) -> bool:
    return has_rides(machine) and has_unicorns(machine)


def has_jobs(machine: RideMachine) -> bool:
    return bool(machine.city.rounds.published)


class Defects(logging.Handler):
    """Errors that workers log and survive: here nobody may make any."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


class RideMachine(RuleBasedStateMachine):
    """Riders, unicorns, admins, workers, time and trouble."""

    def __init__(self, stores: Callable[[], Stores], turn_seconds: float = 5.0) -> None:
        super().__init__()
        # Ids must be the same when hypothesis runs an example again.
        self._ids = patch.object(
            uuid, "uuid4", lambda: uuid.UUID(int=random.getrandbits(128), version=4)
        )
        self._ids.start()
        self.city = City(stores())
        self._turn = turn_seconds
        self._defects = Defects()
        USE_CASES.addHandler(self._defects)
        self._propagate, USE_CASES.propagate = USE_CASES.propagate, False

    def a_ride(self, number: int) -> str:
        rides = list(self.city.witness.rides)
        return rides[-1 - number % len(rides)]

    def a_unicorn(self, number: int) -> str:
        unicorns = list(self.city.witness.unicorns)
        return unicorns[number % len(unicorns)]

    # Riders

    @initialize()
    def the_service_is_new(self) -> None:
        self.city.sweep()

    @rule(rider=RIDERS, pickup=NEAR, dropoff=st.none() | NEAR, key=KEYS)
    def a_rider_asks_for_a_ride(
        self, rider: str, pickup: int, dropoff: int | None, key: str | None
    ) -> None:
        self.city.request(rider, pickup, dropoff, key)

    @precondition(has_rides)
    @rule(number=NUMBERS)
    def a_rider_cancels(self, number: int) -> None:
        self.city.cancel(self.a_ride(number))

    @precondition(has_rides)
    @rule(number=NUMBERS, stars=st.integers(1, 5))
    def a_rider_rates(self, number: int, stars: int) -> None:
        self.city.rate(self.a_ride(number), stars)

    @invariant()
    def every_rider_looks(self) -> None:
        for ride_id in self.city.witness.rides:
            self.city.look(ride_id)

    # Unicorns

    @precondition(lambda machine: len(machine.city.witness.unicorns) < 4)
    @rule(at=NEAR, auto_accept=st.booleans(), on_duty=st.sampled_from([True, True, False]))
    def a_unicorn_joins(self, at: int, auto_accept: bool, on_duty: bool) -> None:
        name = f"u{len(self.city.witness.unicorns)}"
        self.city.enroll(name, at, auto_accept)
        if on_duty:
            self.city.go(name, on_duty=True)

    @precondition(has_unicorns)
    @rule(number=NUMBERS, on_duty=st.booleans())
    def a_unicorn_goes_on_or_off_duty(self, number: int, on_duty: bool) -> None:
        self.city.go(self.a_unicorn(number), on_duty=on_duty)

    @precondition(has_both)
    @rule(unicorn=NUMBERS, ride=NUMBERS, step=st.sampled_from(Step))
    def a_unicorn_takes_any_step(self, unicorn: int, ride: int, step: Step) -> None:
        self.city.step(self.a_unicorn(unicorn), self.a_ride(ride), step)

    @precondition(has_unicorns)
    @rule(number=NUMBERS)
    def a_unicorn_takes_its_next_step(self, number: int) -> None:
        self._take_next_step(self.city.witness.unicorns[self.a_unicorn(number)])

    @precondition(has_unicorns)
    @rule(number=NUMBERS, at=NEAR)
    def a_unicorn_moves(self, number: int, at: int) -> None:
        self.city.present[self.a_unicorn(number)] = PLACES[at]
        self.city.send_positions()

    @precondition(has_unicorns)
    @rule(number=NUMBERS)
    def a_unicorn_vanishes(self, number: int) -> None:
        self.city.present.pop(self.a_unicorn(number), None)

    # Admins

    @precondition(has_rides)
    @rule(number=NUMBERS)
    def an_admin_cancels(self, number: int) -> None:
        self.city.cancel_as_admin(self.a_ride(number))

    @precondition(has_rides)
    @rule(number=NUMBERS)
    def an_admin_reassigns(self, number: int) -> None:
        self.city.reassign(self.a_ride(number))

    @precondition(has_unicorns)
    @rule(number=NUMBERS)
    def an_admin_removes(self, number: int) -> None:
        self.city.remove(self.a_unicorn(number))

    # Workers and time

    @precondition(has_jobs)
    @rule(number=NUMBERS, keep=st.booleans())
    def a_job_is_delivered(self, number: int, keep: bool) -> None:
        self.city.run_job(number, keep=keep)

    @precondition(has_jobs)
    @rule(number=NUMBERS)
    def a_job_is_lost(self, number: int) -> None:
        self.city.rounds.published.pop(number % len(self.city.rounds.published))

    @precondition(has_rides)
    @rule(number=NUMBERS)
    def a_round_decides_and_gets_stuck(self, number: int) -> None:
        self.city.decide_only(self.city.witness.rides[self.a_ride(number)].zone)

    @rule()
    def stuck_rounds_go_on(self) -> None:
        self.city.claim_late()

    @rule(seconds=WAITS)
    def time_passes(self, seconds: float) -> None:
        self.city.pass_time(seconds)
        self.city.send_positions()
        self.city.sweep()

    @rule(seconds=SILENCES)
    def time_passes_in_silence(self, seconds: float) -> None:
        self.city.pass_time(seconds)
        self.city.sweep()

    # Trouble

    @rule()
    def the_next_answer_is_lost(self) -> None:
        self.city.trouble.answer_is_lost = True

    @rule()
    def the_next_writer_dies(self) -> None:
        self.city.trouble.writer_dies = True

    @precondition(has_both)
    @rule(rival=RIVALS, number=NUMBERS, other=NUMBERS, step=st.sampled_from(Step))
    def others_act_before_the_next_write(
        self, rival: str, number: int, other: int, step: Step
    ) -> None:
        city, ride, unicorn = self.city, self.a_ride(number), self.a_unicorn(other)
        city.trouble.meanwhile = {
            "cancel": lambda: city.cancel(ride),
            "cancel_as_admin": lambda: city.cancel_as_admin(ride),
            "reassign": lambda: city.reassign(ride),
            "step": lambda: city.step(unicorn, ride, step),
            "sweep": city.sweep,
            "claim_late": city.claim_late,
            "run_jobs": city.run_jobs,
            "off_duty": lambda: city.go(unicorn, on_duty=False),
            "redis_goes": self.redis_goes_away,
            "lose_redis": city.lose_redis,
            "remove": lambda: city.remove(unicorn),
        }[rival]

    @rule()
    def redis_loses_everything(self) -> None:
        self.city.lose_redis()

    @rule()
    def redis_goes_away(self) -> None:
        self.city.trouble.redis_is_away = True

    @rule()
    def redis_comes_back(self) -> None:
        self.city.trouble.redis_is_away = False

    # What holds

    @invariant()
    def nobody_made_a_mistake(self) -> None:
        assert not self._defects.found, self._defects.found[0].getMessage()

    def teardown(self) -> None:
        try:
            self._end_well()
        finally:
            USE_CASES.removeHandler(self._defects)
            USE_CASES.propagate = self._propagate
            self._ids.stop()

    def _end_well(self) -> None:
        """The trouble is over: before long every ride has ended and nobody is kept."""
        city = self.city
        city.trouble.end()
        city.claim_late()
        for _ in range(TURNS_UNTIL_ALL_IS_OVER):
            if all(ride.status in ENDED for ride in city.witness.rides.values()):
                break
            self._turn_of_everybody()
        else:
            raise AssertionError("a ride that never ends")
        self._everything_is_put_away()

    def _turn_of_everybody(self) -> None:
        city = self.city
        city.pass_time(self._turn)
        city.send_positions()
        city.sweep()
        city.run_jobs()
        for unicorn_id in city.present:
            self._take_next_step(city.witness.unicorns[unicorn_id])

    def _take_next_step(self, unicorn: Unicorn) -> None:
        if unicorn.ride_id:
            ride = self.city.witness.rides[unicorn.ride_id]
            self.city.step(unicorn.unicorn_id, ride.ride_id, NEXT_STEP[ride.status])

    def _everything_is_put_away(self) -> None:
        city = self.city
        assert all(unicorn.ride_id is None for unicorn in city.witness.unicorns.values())
        for ride in city.witness.rides.values():
            assert city.stores.rides.get(ride.ride_id) == ride
        assert not city.stores.rides.due(city.now + timedelta(days=1), 1)
        city.pass_time(400)
        for zone in {ride.zone for ride in city.witness.rides.values()}:
            city.dispatcher.run(zone, "")
            assert city.stores.waiting_ids(zone) == set(), "an ended ride still waits"
