"""Rounds: one zone's waiting rides against the fleet around it, claimed by conditional writes.

A round serves everything that waits (group commit): under load many requests share one job. The
lease keeps two rounds of a zone from doing the same work; safety never rests on it, only on the
claim, which is one transaction on the ride and the unicorn.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from service.core import effects
from service.core.ports import Ports, RoundLease, RoundLeases, WriteConflict
from service.core.suspects import sort_out, try_suspects
from service.matching.match import Matching, Tuning, match
from service.matching.remaining import RemainingTime
from service.matching.travel import TravelTimes
from service.model import (
    FleetEntry,
    Pairing,
    Ride,
    RideStatus,
    Trip,
)
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)

WORK_BUDGET_SECONDS: Final = 1.0
"""Longest turn of one job on a zone; a successor goes on, so that zones share the workers."""

LOST_CLAIM_ROUNDS: Final = 3
"""Further rounds after claims lost to somebody else; then the next trigger may do better."""


OVERDUE: Final = timedelta(seconds=10)
"""So long after its deadline a ride that waits here was ended and nobody could say so."""


class Outcome(Enum):
    """What became of a claim."""

    CLAIMED = auto()
    LOST = auto()
    """To somebody faster: the other side is free for another pairing, so pair again."""
    FAILED = auto()
    """Not written; pairing again would not help, the sweep will."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A pairing with the two values it was decided on."""

    pairing: Pairing
    ride: Ride
    entry: FleetEntry


CommitAll = Callable[[Callable[[Claim], Outcome], Sequence[Claim]], Iterable[Outcome]]
"""Applies the function to every claim, as far as possible at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Runs rounds. Clock, sleep and parallelism come from the outside."""

    ports: Ports
    leases: RoundLeases
    tuning: Tuning
    travel: TravelTimes
    remaining: RemainingTime
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    commit_all: CommitAll
    window_seconds: float = 0.0
    """How long a job waits for company before its first round. None by default: under load the
    rides that come while a round runs make the next one, and an idle service answers at once."""

    def run(self, zone: str, request_id: str) -> None:
        """One job: rounds on a zone while there is something new, at most a second of them."""
        if self.ports.pauses.current().covers(zone):
            # Its rides wait: the sweep asks again every few seconds.
            return
        lease = self.leases.take(zone)
        if lease is None:
            return
        try:
            finished = self._rounds(lease)
        except BaseException:
            lease.release()
            raise
        if not finished:
            lease.release()
            # One chain per zone: whoever has set the mark has published a job already.
            for marked in self.ports.waiting.mark([zone]):
                self.ports.rounds.publish(marked, request_id)

    def _rounds(self, lease: RoundLease) -> bool:
        """Rounds until nothing is new; false if the time was up before that."""
        if self.window_seconds:
            self.sleep(self.window_seconds)
        end = self.monotonic() + WORK_BUDGET_SECONDS
        lost_rounds = 0
        while True:
            lost, crowded = self._round(lease, end)
            lost = lost and lost_rounds < LOST_CLAIM_ROUNDS
            if not (lost or crowded) and lease.leave():
                return True
            if self.monotonic() >= end:
                return False
            if lost:
                lost_rounds += 1
                self.sleep(random.uniform(0.005, 0.02 * lost_rounds))  # noqa: S311

    def _round(self, lease: RoundLease, end: float) -> tuple[bool, bool]:
        """Pair and claim once; two reasons why pairing again at once may help.

        A claim was lost, or riders were left out in a crowd that took all the unicorns in sight.
        """
        taken, plans = lease.begin_round()
        waiting, suspects = sort_out(self.ports, lease, taken, self.now)
        matching, claims = self._pair(waiting, plans) if waiting else (Matching((), ()), ())
        outcomes = list(self.commit_all(self._claim, claims))
        lease.finish_round(matching.plans)
        self._forget_overdue(waiting, matching)
        left_out = len(waiting) - len(matching.claims) - len(matching.plans)
        crowded = left_out > 0 and outcomes.count(Outcome.CLAIMED) >= self.tuning.neighbours
        tried = try_suspects(
            self.ports, lease, suspects, self._try_alone, self.now, lambda: self.monotonic() >= end
        )
        return Outcome.LOST in outcomes, crowded or not tried

    def _try_alone(self, ride: Ride) -> bool:
        _, claims = self._pair([ride], {})
        return [self._claim(claim) for claim in claims] == [Outcome.CLAIMED]

    def _forget_overdue(self, waiting: Sequence[Ride], matching: Matching) -> None:
        """Drop entries that the sweep should have ended: if they are still open it adds them."""
        paired = {pairing.ride_id for pairing in (*matching.claims, *matching.plans)}
        before = self.now() - OVERDUE
        for ride in waiting:
            if ride.deadline_at < before and ride.ride_id not in paired:
                self.ports.waiting.discard(ride.zone, [ride.ride_id])

    def _pair(
        self, waiting: Sequence[Ride], plans: Mapping[str, Pairing]
    ) -> tuple[Matching, Sequence[Claim]]:
        now = self.now()
        fleet = self.ports.fleet.near(
            [ride.pickup for ride in waiting],
            reach_metres=self.ports.rules.reach_metres,
            per_place=self.tuning.neighbours,
            now=now,
        )
        matching = match(waiting, fleet, plans, now, self.tuning, self.travel, self.remaining)
        rides = {ride.ride_id: ride for ride in waiting}
        entries = {entry.unicorn.unicorn_id: entry for entry in fleet}
        claims = [Claim(p, rides[p.ride_id], entries[p.unicorn_id]) for p in matching.claims]
        return matching, claims

    def _claim(self, claim: Claim) -> Outcome:
        """Take both sides or neither: the one place where a ride is won."""
        now = self.now()
        ride, entry = claim.ride, claim.entry
        assert entry.position is not None  # noqa: S101 - only fresh positions are paired
        at = entry.position.location
        after = ride.claimed(entry.unicorn, at, claim.pairing, now, self.ports.rules.offer)
        reserved = entry.unicorn.reserved(ride.ride_id, Trip(ride.pickup, ride.dropoff))
        try:
            self.ports.assignments.commit((ride, after), (entry.unicorn, reserved))
        except WriteConflict as lost:
            return self._repair(ride, lost, now)
        except DispatchError as error:
            logger.warning(
                "claim not written", extra={"ride_id": ride.ride_id, "cause": str(error)}
            )
            return Outcome.FAILED
        except Exception:
            # A defect that one ride brings to light must not cost the others of the round.
            logger.exception("claim failed", extra={"ride_id": ride.ride_id})
            return Outcome.FAILED
        effects.tell(self.ports, now, ride=after, unicorn=reserved)
        logger.info(
            "ride %s",
            after.status,
            extra={
                "ride_id": ride.ride_id,
                "unicorn_id": entry.unicorn.unicorn_id,
                "request_id": ride.request_id,
                "waited_seconds": (now - ride.requested_at).total_seconds(),
            },
        )
        return Outcome.CLAIMED

    def _repair(self, ride: Ride, lost: WriteConflict, now: datetime) -> Outcome:
        """Correct what this process believed by what is stored."""
        try:
            if lost.unicorn:
                self.ports.fleet.refresh(lost.unicorn, now)
            if lost.ride and lost.ride.status is RideStatus.REQUESTED:
                self.ports.waiting.correct(lost.ride)
            elif lost.ride or not lost.unicorn:
                # Ended, taken, or not there at all; were it open, the sweep would add it again.
                self.ports.waiting.discard(ride.zone, [ride.ride_id])
        except Unavailable:
            return Outcome.FAILED
        return Outcome.LOST
