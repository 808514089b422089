"""Everything that can happen to rides, in any order, as a hypothesis state machine.

Runs on any stores. After each step the promises hold (see `ride_witness`), and once the trouble is
over all ends well (see `ride_ending`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from service.core.unicorns import Step
from tests.support.ride_ending import end_well, live_on, take_next_step
from tests.support.ride_people import PLACES, People
from tests.support.ride_stores import Stores

LARGEST_HERD = 4

NUMBERS = st.integers(0, 5)
SOMEWHERE = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
RIDERS = st.sampled_from(["rider-1", "rider-2"])
KEYS = st.sampled_from([None, None, "key-1", "key-2"])
WAITS = st.sampled_from([0.2, 1.5, 4.0, 16.0, 60.0, 170.0, 670.0])
SILENCES = st.sampled_from([20.0, 61.0, 601.0, 2000.0])


class RideMachine(RuleBasedStateMachine):
    """Riders, unicorns, admins, workers, time and trouble.

    What hypothesis draws never depends on what is stored: real stores have a clock of their own.
    """

    def __init__(self, stores: Callable[[], Stores], turn_seconds: float = 5.0) -> None:
        super().__init__()
        self.people = People(stores())
        self.people.begin()
        self._turn = turn_seconds

    def ride(self, number: int) -> str:
        rides = list(self.people.witness.rides)
        return rides[-1 - number % len(rides)]

    def unicorn(self, number: int) -> str:
        unicorns = list(self.people.witness.unicorns)
        return unicorns[number % len(unicorns)]

    @initialize(
        herd=st.lists(st.tuples(SOMEWHERE, st.booleans()), min_size=1, max_size=3),
        pickups=st.lists(SOMEWHERE, min_size=1, max_size=3),
        steps=st.integers(-1, 3),
    )
    def a_day_begins(self, herd: list[tuple[int, bool]], pickups: list[int], steps: int) -> None:
        self.people.sweep()
        for at, auto_accept in herd:
            self.a_unicorn_joins(at, auto_accept)
        for number, pickup in enumerate(pickups):
            self.people.request(f"early-rider-{number}", pickup, 1, None)
        if steps >= 0:
            self.people.run_jobs()
        for number in range(len(herd)):
            self.a_unicorn_goes_on_with_its_ride(number, steps)

    @rule(rider=RIDERS, pickup=SOMEWHERE, dropoff=st.none() | SOMEWHERE, key=KEYS)
    def a_rider_asks(self, rider: str, pickup: int, dropoff: int | None, key: str | None) -> None:
        self.people.request(rider, pickup, dropoff, key)

    @rule(number=NUMBERS, stars=st.none() | st.integers(1, 5))
    def a_rider_cancels_or_rates(self, number: int, stars: int | None) -> None:
        ride = self.ride(number)
        self.people.rate(ride, stars) if stars else self.people.cancel(ride)

    @rule(at=SOMEWHERE, auto_accept=st.booleans())
    def a_unicorn_joins(self, at: int, auto_accept: bool) -> None:
        herd = self.people.witness.unicorns
        name = f"u{len(herd)}"
        if len(herd) < LARGEST_HERD:
            self.people.enroll(name, at, auto_accept)
        if name in herd:
            self.people.go(name, on_duty=True)

    @rule(number=NUMBERS, on_duty=st.booleans())
    def a_unicorn_goes_on_or_off_duty(self, number: int, on_duty: bool) -> None:
        self.people.go(self.unicorn(number), on_duty=on_duty)

    @rule(number=NUMBERS, steps=st.integers(1, 4))
    def a_unicorn_goes_on_with_its_ride(self, number: int, steps: int) -> None:
        for _ in range(steps):
            take_next_step(self.people, self.unicorn(number))

    @rule(number=NUMBERS)
    def a_unicorn_declines_its_ride(self, number: int) -> None:
        unicorn = self.unicorn(number)
        ride = self.people.witness.unicorns[unicorn].ride_id
        if ride:
            self.people.step(unicorn, ride, Step.DECLINE)

    @rule(unicorn=NUMBERS, ride=NUMBERS, step=st.sampled_from(Step))
    def a_unicorn_takes_any_step(self, unicorn: int, ride: int, step: Step) -> None:
        self.people.step(self.unicorn(unicorn), self.ride(ride), step)

    @rule(number=NUMBERS, at=st.none() | SOMEWHERE)
    def a_unicorn_moves_or_vanishes(self, number: int, at: int | None) -> None:
        self.people.present.pop(self.unicorn(number), None)
        if at is not None:
            self.people.present[self.unicorn(number)] = PLACES[at]
            self.people.send_positions()

    @rule(number=NUMBERS)
    def a_unicorn_polls_without_a_place(self, number: int) -> None:
        self.people.poll_without_a_place(self.unicorn(number), 240)

    @rule(act=st.sampled_from(["cancel", "reassign", "remove"]), number=NUMBERS)
    def an_admin_acts(self, act: str, number: int) -> None:
        self._act(act, self.ride(number), self.unicorn(number))

    @rule()
    def workers_do_their_jobs(self) -> None:
        self.people.run_jobs()

    @rule(number=NUMBERS, lost=st.booleans())
    def a_job_is_lost_or_comes_twice(self, number: int, lost: bool) -> None:
        jobs = self.people.rounds.published
        if jobs and lost:
            jobs.pop(number % len(jobs))
        elif jobs:
            self.people.run_job(number, keep=True)

    @rule(number=NUMBERS)
    def a_round_decides_and_gets_stuck(self, number: int) -> None:
        self.people.decide_only(self.people.witness.rides[self.ride(number)].zone)

    @rule()
    def stuck_rounds_go_on(self) -> None:
        self.people.claim_late()

    @rule(seconds=WAITS)
    def all_goes_on_as_usual(self, seconds: float) -> None:
        live_on(self.people, seconds, self._turn)

    @rule(seconds=SILENCES)
    def positions_come_again_after_a_while(self, seconds: float) -> None:
        self.people.pass_time(seconds)
        self.people.send_positions()
        self.people.sweep()

    @rule(seconds=SILENCES)
    def time_passes_in_silence(self, seconds: float) -> None:
        self.people.pass_time(seconds)
        self.people.sweep()

    @rule(what=st.sampled_from(["answer lost", "writer dies", "redis new", "redis away"]))
    def trouble_comes(self, what: str) -> None:
        trouble = self.people.trouble
        match what:
            case "answer lost":
                trouble.answer_is_lost = True
            case "writer dies":
                trouble.writer_dies = True
            case "redis new":
                # The herd is slower than the sweep to notice.
                self.people.lose_redis()
                self.time_passes_in_silence(16.0)
            case "redis away":
                trouble.redis_is_away = not trouble.redis_is_away

    @rule(
        act=st.sampled_from(
            ["cancel", "reassign", "remove", "step", "sweep", "late claims", "jobs", "redis new"]
        ),
        number=NUMBERS,
        step=st.sampled_from(Step),
    )
    def others_act_before_the_next_write(self, act: str, number: int, step: Step) -> None:
        ride, unicorn = self.ride(number), self.unicorn(number)
        self.people.trouble.meanwhile = lambda: self._act(act, ride, unicorn, step)

    def _act(self, act: str, ride: str, unicorn: str, step: Step = Step.DECLINE) -> None:
        acts: dict[str, Callable[[], None]] = {
            "cancel": lambda: self.people.cancel_as_admin(ride),
            "reassign": lambda: self.people.reassign(ride),
            "remove": lambda: self.people.remove(unicorn),
            "step": lambda: self.people.step(unicorn, ride, step),
            "sweep": self.people.sweep,
            "late claims": self.people.claim_late,
            "jobs": self.people.run_jobs,
            "redis new": self.people.lose_redis,
        }
        acts[act]()

    @invariant()
    def riders_see_what_they_may_see(self) -> None:
        for ride_id in self.people.witness.rides:
            self.people.look(ride_id)

    @invariant()
    def workers_make_no_mistakes(self) -> None:
        mistakes = self.people.mistakes.found
        assert not mistakes, mistakes[0].getMessage()

    def decliners_see_no_more_than_their_decline(self) -> None:
        for ride_id, ride in list(self.people.witness.rides.items()):
            for unicorn_id in ride.declined:
                self.people.step(unicorn_id, ride_id, Step.DECLINE)

    def a_whole_herd_vanishes(self, seconds: float) -> None:
        """Three unicorns on their way to three riders, none of which is heard any more."""
        self.a_day_begins(herd=[(0, True)] * 3, pickups=[0] * 3, steps=0)
        self.people.present.clear()
        self.time_passes_in_silence(seconds)

    def teardown(self) -> None:
        """Also called when a step failed; nothing more is expected of such a run."""
        try:
            if sys.exc_info()[0] is None:
                end_well(self.people, self._turn)
                self.decliners_see_no_more_than_their_decline()
                self.workers_make_no_mistakes()
        finally:
            self.people.end()
