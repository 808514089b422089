"""Sees every write of rides and unicorns and says what must always hold, whatever happens.

Knows the promises only: which state may follow which, who may hold whom. It shares no code with
the transitions it judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.model import (
    MOST_STEPS,
    STATUS_AFTER,
    Ride,
    RideStatus,
    RideStep,
    Unicorn,
    UnicornState,
    steps_of,
)

REQUESTED, OFFERED, MATCHED = RideStatus.REQUESTED, RideStatus.OFFERED, RideStatus.MATCHED
ARRIVED, IN_PROGRESS = RideStatus.ARRIVED, RideStatus.IN_PROGRESS
COMPLETED, CANCELED, UNMATCHED = RideStatus.COMPLETED, RideStatus.CANCELED, RideStatus.UNMATCHED

MAY_FOLLOW = {
    REQUESTED: {OFFERED, MATCHED, CANCELED, UNMATCHED},
    OFFERED: {MATCHED, REQUESTED, CANCELED},
    MATCHED: {ARRIVED, REQUESTED, CANCELED},
    ARRIVED: {IN_PROGRESS, REQUESTED, CANCELED},
    IN_PROGRESS: {COMPLETED, CANCELED},
    COMPLETED: {COMPLETED},  # a rating
    CANCELED: set[RideStatus](),
    UNMATCHED: set[RideStatus](),
}
HOLDS_A_UNICORN = {OFFERED, MATCHED, ARRIVED, IN_PROGRESS}
ENDED = {COMPLETED, CANCELED, UNMATCHED}
STALE = timedelta(seconds=60)
PLAN = timedelta(seconds=480)
"""A planned ride waits so much longer than its deadline at most."""
LEFT_BY = {
    RideStep.DECLINED: lambda ride, name: name in ride.declined,
    RideStep.OFFER_EXPIRED: lambda ride, name: name in ride.missed_by - ride.excluded,
    RideStep.NOT_COMING: lambda ride, name: name in ride.not_coming,
}
"""What else a ride says of a unicorn that lost it for this reason."""
RETURNED = timedelta(seconds=2)
"""A ride that lost its unicorn is looked at again so soon."""


@dataclass
class Witness:
    """What is stored, as read after each write, and the memory of what must not come again."""

    now: Callable[[], datetime]
    has_plan: Callable[[Ride], bool]
    is_poison: Callable[[Ride], bool]
    """Whether it was set aside since workers died on it, which may be before its deadline."""
    rides: dict[str, Ride] = field(default_factory=dict)
    unicorns: dict[str, Unicorn] = field(default_factory=dict)
    parted: set[tuple[str, str]] = field(default_factory=set)
    heard_at: dict[str, datetime] = field(default_factory=dict)
    waits_since: dict[str, datetime] = field(default_factory=dict)
    seen_by_rider: dict[str, int] = field(default_factory=dict)
    silence_counts_from: datetime | None = None
    history: dict[str, list[tuple[int, datetime, RideStatus]]] = field(default_factory=dict)
    """By ride, each new state with its version and when it was written."""
    meddled: bool = False
    """Somebody wrote between a decision and its write: what it was decided on may be gone."""

    def saw(self, ride: Ride | None, unicorn: Unicorn | None) -> None:
        """A write is done: judge the step from what was stored before, then the whole."""
        if ride:
            before = self.rides.get(ride.ride_id)
            self._judge_ride(before, ride)
            if before is None or before.status is not ride.status:
                self.waits_since[ride.ride_id] = self.now()
            self._judge_timeline(before, ride)
            self.rides[ride.ride_id] = ride
        if unicorn:
            self._judge_unicorn(self.unicorns.get(unicorn.unicorn_id), unicorn)
            self.unicorns[unicorn.unicorn_id] = unicorn
        self.check()

    def shown(self, ride: Ride) -> None:
        """A rider got this answer: never an older one than the last."""
        assert ride.version >= self.seen_by_rider.get(ride.ride_id, 0), "a version went back"
        self.seen_by_rider[ride.ride_id] = ride.version

    def swept(self) -> None:
        """A sweep has just looked after everything, and nothing went wrong."""
        for ride in self.rides.values():
            if ride.status is REQUESTED:
                looked_at = self.waits_since[ride.ride_id] + RETURNED
                end = max(ride.deadline_at + PLAN, looked_at)
                assert self.now() < end, "a ride that waits for ever"

    def check(self) -> None:
        for ride in self.rides.values():
            self._check_ride(ride)
        for unicorn in self.unicorns.values():
            self._check_unicorn(unicorn)

    def _check_ride(self, ride: Ride) -> None:
        assert (ride.due_at is None) == (ride.status in ENDED), "open rides are due, ended ones not"
        assert ride.fresh_deadlines <= 3
        assert (ride.canceled_by is not None) == (ride.status is CANCELED)
        steps = [ride.matched_at, ride.arrived_at, ride.started_at, ride.completed_at]
        taken = [step for step in steps if step]
        assert steps[: len(taken)] == taken == sorted(taken), "a step was left out"
        assert ride.status is not REQUESTED or ride.unicorn is None
        if ride.status in HOLDS_A_UNICORN:
            assert ride.unicorn_id not in ride.excluded
            holder = self.unicorns[ride.unicorn_id or ""]
            assert holder.ride_id == ride.ride_id, "a ride without its unicorn"
            assert (holder.state is UnicornState.ON_TRIP) == (ride.status is IN_PROGRESS)

    def _check_unicorn(self, unicorn: Unicorn) -> None:
        busy = unicorn.state in {UnicornState.RESERVED, UnicornState.ON_TRIP}
        assert busy == (unicorn.ride_id is not None) == (unicorn.trip is not None)
        if unicorn.ride_id:
            ride = self.rides[unicorn.ride_id]
            assert ride.status in HOLDS_A_UNICORN, "an orphaned reservation"
            assert ride.unicorn_id == unicorn.unicorn_id, "a unicorn with another one's ride"
        else:
            free = unicorn.state is UnicornState.AVAILABLE
            assert free == unicorn.accepting, "on duty without a ride, and yet not available"

    def _judge_ride(self, before: Ride | None, after: Ride) -> None:
        if before is None:
            assert (after.status, after.version, after.excluded) == (REQUESTED, 1, frozenset())
            return
        if before.version == after.version:
            assert (before.status, before.unicorn) == (after.status, after.unicorn)
            return
        assert after.version == before.version + 1
        assert after.status in MAY_FOLLOW[before.status], f"{before.status} → {after.status}"
        assert before.excluded <= after.excluded
        self._judge_parting(before, after)
        if after.status is UNMATCHED:
            poison = self.is_poison(after)
            assert poison or self.now() >= after.deadline_at, "given up too early"
            planned = self.has_plan(after) and self.now() < after.deadline_at + PLAN
            assert poison or self.meddled or not planned, "given up in spite of a plan"

    def _judge_timeline(self, before: Ride | None, after: Ride) -> None:
        """Its timeline tells every change of state there ever was, and why a unicorn lost it."""
        history = self.history.setdefault(after.ride_id, [])
        if before is None or before.status is not after.status:
            history.append((after.version, self.now(), after.status))
        steps = steps_of(after.timeline, after.requested_at)
        told = [(each.version, each.at, STATUS_AFTER[each.step]) for each in steps]
        assert told == [*history[:1], *history[1:][-(MOST_STEPS - 1) :]], "a false timeline"
        last, lost = steps[-1], before and before.status in HOLDS_A_UNICORN and before.unicorn_id
        if lost and after.status is REQUESTED:
            assert last.unicorn_id == lost, "taken from somebody else"
            says = LEFT_BY.get(last.step)
            assert says is None or says(after, lost), "left for another reason"
        elif after.status in {OFFERED, MATCHED} and before and before.status is REQUESTED:
            assert last.unicorn_id == after.unicorn_id, "given to somebody else"

    def _judge_parting(self, before: Ride, after: Ride) -> None:
        if before.status in HOLDS_A_UNICORN and after.status is REQUESTED:
            name = before.unicorn_id or ""
            if before.status is OFFERED and name not in after.excluded:
                assert name in after.missed_by, "left without a trace"
            else:
                assert name in after.excluded, "left without a trace"
                self.parted.add((after.ride_id, name))
            assert after.declined.get(name, after.version) == after.version
            if name in after.not_coming:
                assert before.status is MATCHED, "taken from a unicorn that is there"
            told = before.status is not OFFERED
            assert told or after.deadline_at == before.deadline_at
        elif before.status is REQUESTED and after.status in HOLDS_A_UNICORN:
            assert (after.ride_id, after.unicorn_id) not in self.parted, "paired with it again"
        elif before.status in HOLDS_A_UNICORN:
            assert after.unicorn == before.unicorn, "another unicorn without asking"

    def _judge_unicorn(self, before: Unicorn | None, after: Unicorn) -> None:
        if before is None or before.version == after.version:
            assert before is None or before == after
            return
        assert after.version == before.version + 1
        assert before.state is not UnicornState.REMOVED, "a removed unicorn came back"
        if before.ride_id and before.accepting and not (after.ride_id or after.accepting):
            self._judge_silence(before, self.rides[before.ride_id])

    def _judge_silence(self, unicorn: Unicorn, ride: Ride) -> None:
        """Sent off duty with a ride: by its own decline, for missed offers, or for silence."""
        unicorn_id = unicorn.unicorn_id
        if unicorn_id in ride.declined:
            return
        missed = unicorn_id in ride.missed_by - ride.excluded
        if missed and ride.status is REQUESTED:
            assert len(unicorn.missed | {ride.ride_id}) >= 3, "put off duty too early"
            return
        last = [self.heard_at.get(unicorn_id), self.silence_counts_from]
        heard = any(at and self.now() - at <= STALE for at in last)
        assert self.meddled or not heard, "called silent too early"
