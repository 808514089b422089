"""Rounds: pair the waiting rides of one zone with the unicorns around it, and claim the pairs.

A round serves all rides that wait, so under load many requests share one job. The lease keeps two
rounds of a zone from doing the same work. Safety does not depend on it but on the claim, which is
one transaction on the ride and the unicorn.
"""

from __future__ import annotations

import logging
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from service.core.claims import Claim, Outcome, claim
from service.core.dead_letters import try_suspects
from service.core.pairing import find_pairs
from service.core.ports import (
    DeadLetters,
    LeaseLost,
    PlaceInLine,
    RoundLease,
    RoundLeases,
    Stores,
    WaitingZone,
)
from service.matching.match import Matching
from service.matching.tuning import Tuning, tuning_with_repositioning
from service.model import Pairing, Ride

logger = logging.getLogger(__name__)

WORK_BUDGET_SECONDS: Final = 1.0
"""After this time a job begins no further round or slice. It may still claim pairs of its last
slice (`_serve_slice`). A successor goes on, so that zones share the workers."""

LOST_CLAIM_ROUNDS: Final = 3
"""The most further rounds that one job runs because of lost claims. After them, the rides wait for
the next trigger."""

SLICE_RIDES: Final = 2000
"""The most rides that are paired at once, because the time for the best matching grows faster than
their number (2,000 rides: 82 ms; 5,000: 1,461 ms)."""

FAILED_PAUSE_SECONDS: Final = 0.25
"""The pause before the successor of a failed job, so that a permanent failure does not become a
busy loop."""

OVERDUE: Final = timedelta(seconds=10)
"""A waiting entry this long past the end of its ride is removed, because the call that should have
removed it was lost."""

CommitAll = Callable[[Callable[[Claim], Outcome], Sequence[Claim]], Iterable[Outcome]]
"""Calls the function for every claim, in parallel if possible."""


@dataclass(slots=True)
class Round:
    """The results of a round so far."""

    plans: dict[str, Pairing]
    """The plans by ride id; at first those of the last round."""
    taken: set[str] = field(default_factory=set)
    """Unicorns that the round has paired."""
    outcomes: list[Outcome] = field(default_factory=list)
    resume_at: PlaceInLine | None = None
    """The first ride of the slice for which there was not enough time."""

    def add(self, rides: Sequence[Ride], matching: Matching) -> None:
        """Replace the plans of these rides; drop plans of other rides for the same unicorns."""
        taken = {pairing.unicorn_id for pairing in (*matching.claims, *matching.plans)}
        for ride in rides:
            self.plans.pop(ride.ride_id, None)
        self.plans = {
            ride_id: plan for ride_id, plan in self.plans.items() if plan.unicorn_id not in taken
        } | {plan.ride_id: plan for plan in matching.plans}
        self.taken |= taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Runs rounds. Clock, sleep and parallelism are arguments."""

    ports: Stores
    dead_letters: DeadLetters
    leases: RoundLeases
    tuning: Tuning
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    commit_all: CommitAll
    is_repositioning: bool = False
    """Whether idle unicorns are sent to where riders will be, unless staff has turned that off."""

    def run(self, zone: str, request_id: str) -> None:
        """Run one job: rounds on a zone while there is something new and time left.

        A job that ends early, because of time or an exception, publishes a successor (but not after
        a lost lease, or while the process ends).
        """
        if self.ports.control.current().is_paused(zone):
            # The rides wait; the sweep triggers them again every few seconds.
            return
        lease = self.leases.take(zone)
        if lease is None:
            return
        try:
            finished = self._rounds(lease)
        except LeaseLost:
            # If no other job has the lease by now, the sweep's next trigger of the rides publishes
            # a job.
            logger.warning("lease lost", extra={"zone": zone})
            lease.release()
        except Exception:
            lease.release_after_error()
            self.sleep(FAILED_PAUSE_SECONDS)
            self._publish_successor(zone, request_id)
            raise
        except BaseException:
            # The process is ending, perhaps because of one of its rides: they become suspects.
            lease.release()
            raise
        else:
            if not finished:
                lease.release()
                self._publish_successor(zone, request_id)

    def _publish_successor(self, zone: str, request_id: str) -> None:
        # Only if this call sets the mark: otherwise nothing waits or a round is already asked for.
        for marked in self.ports.waiting.mark([zone]):
            self.ports.rounds.publish(marked, request_id)

    def _rounds(self, lease: RoundLease) -> bool:
        """Run rounds until nothing is new; False if the time was up first or suspects are left."""
        end = self.monotonic() + WORK_BUDGET_SECONDS
        lost_rounds = 0
        while True:
            lost, finished = self._round(lease, end)
            if not finished:
                return False
            lost = lost and lost_rounds < LOST_CLAIM_ROUNDS
            if not lost and lease.release_unless_marked():
                return True
            if self.monotonic() >= end:
                return False
            if lost:
                lost_rounds += 1
                self.sleep(random.uniform(0.005, 0.02 * lost_rounds))  # noqa: S311

    def _round(self, lease: RoundLease, end: float) -> tuple[bool, bool]:
        """Pair and claim once; returns whether a claim was lost, and whether all were served."""
        zone = lease.begin_round()
        rides = self._still_waiting(zone)
        healthy = [ride for ride in rides if ride.ride_id not in zone.suspects]
        suspects = [ride for ride in rides if ride.ride_id in zone.suspects]
        done = self._serve(_in_turn(healthy, zone.resume_at), zone, end)
        lease.finish_round(list(done.plans.values()), done.resume_at)
        tried = try_suspects(
            self.ports,
            self.dead_letters,
            lease,
            suspects,
            zone.suspects,
            self._try_alone,
            self.now,
            lambda: self.monotonic() >= end,
        )
        return Outcome.LOST in done.outcomes, tried and done.resume_at is None

    def _serve(self, rides: Sequence[Ride], zone: WaitingZone, end: float) -> Round:
        """Serve slice after slice while there is time, each with the unicorns still left."""
        waiting = {ride.ride_id for ride in rides}
        done = Round({ride_id: plan for ride_id, plan in zone.plans.items() if ride_id in waiting})
        for first in range(0, len(rides), SLICE_RIDES):
            start = _place(rides[first])
            is_time_up = first and self.monotonic() >= end
            if is_time_up:
                # `rides` has first the rides from `zone.resume_at` on, then the earlier ones, which
                # the last job served. At one of those, all have had their turn.
                done.resume_at = None if zone.resume_at and start < zone.resume_at else start
            if done.resume_at or is_time_up:
                break
            self._serve_slice(rides[first : first + SLICE_RIDES], done, end)
        return done

    def _serve_slice(self, rides: Sequence[Ride], done: Round, end: float) -> None:
        """Pair the rides, and claim as many pairs as there is time for.

        Claims get at least as much time as the pairing took, so that every job claims something.
        """
        began = self.monotonic()
        tuning = self._tuning(rides[0].zone)
        matching, claims = find_pairs(self.ports, tuning, rides, done.plans, done.taken, self.now())
        paired = self.monotonic()
        until = max(end, paired + (paired - began))

        def commit(each: Claim) -> Outcome:
            if self.monotonic() >= until:
                return Outcome.POSTPONED
            return claim(self.ports, each, self.now())

        outcomes = list(self.commit_all(commit, claims))
        if Outcome.POSTPONED in outcomes:
            done.resume_at = _place(rides[0])
        done.outcomes += outcomes
        done.add(rides, matching)

    def _try_alone(self, ride: Ride) -> None:
        self._serve_slice([ride], Round({}), math.inf)

    def _tuning(self, zone: str) -> Tuning:
        if not self.is_repositioning:
            return self.tuning
        return tuning_with_repositioning(self.tuning, self.ports.control.current().level_of(zone))

    def _still_waiting(self, zone: WaitingZone) -> Sequence[Ride]:
        """The rides that are not past their end.

        Removes entries far past their end. If such a ride is open, the sweep ends it, or adds it
        again if it has a new deadline.
        """
        now, rules = self.now(), self.ports.rules
        ends = [rules.ends_at(ride, planned=ride.ride_id in zone.plans) for ride in zone.rides]
        both = list(zip(zone.rides, ends, strict=True))
        overdue = [ride for ride, end in both if end + OVERDUE < now]
        if overdue:
            self.ports.waiting.discard(overdue[0].zone, [ride.ride_id for ride in overdue])
        return [ride for ride, end in both if now < end]


def _place(ride: Ride) -> PlaceInLine:
    return ride.requested_at, ride.ride_id


def _in_turn(rides: Sequence[Ride], resume_at: PlaceInLine | None) -> Sequence[Ride]:
    """The rides for which the last job had no time, then the others; both groups oldest first."""
    oldest_first = sorted(rides, key=_place)
    first = bisect_left(oldest_first, resume_at, key=_place) if resume_at else 0
    return [*oldest_first[first:], *oldest_first[:first]]
