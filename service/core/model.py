"""Rides and unicorns: immutable values with their legal transitions.

A transition is a method that returns the next value, or raises `IllegalTransition`. Nothing here
knows a clock or a store: the instant is an argument, and a store writes (before, after) only if
the stored version still is that of *before*.

Instants are timezone-aware UTC. Distances are metres, durations seconds, positions WGS-84 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from service.core.errors import IllegalTransition, NotCancelable, UnicornBusy

FIRST_RETRY = timedelta(seconds=2)
"""How long a new ride may wait for its job before the sweep looks for it."""

LIVENESS_CHECK = timedelta(seconds=15)
"""How often the sweep checks that the unicorn of an assigned ride is still heard of."""

FRESH_DEADLINES = 3
"""How many times a ride that lost its unicorn gets a full new deadline."""


@dataclass(frozen=True, slots=True)
class Location:
    """A point, WGS-84 degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Position:
    """Where a unicorn said it was. `heading`: degrees from north; `speed`: metres per second."""

    location: Location
    recorded_at: datetime
    heading: float | None = None
    speed: float | None = None


class RideStatus(StrEnum):
    """States of a ride, in the order a good ride goes through them."""

    REQUESTED = "requested"
    OFFERED = "offered"
    MATCHED = "matched"
    ARRIVED = "arrived"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"
    UNMATCHED = "unmatched"


TERMINAL = frozenset({RideStatus.COMPLETED, RideStatus.CANCELED, RideStatus.UNMATCHED})
ASSIGNED = frozenset(
    {RideStatus.OFFERED, RideStatus.MATCHED, RideStatus.ARRIVED, RideStatus.IN_PROGRESS}
)
"""States in which exactly one unicorn is reserved for the ride."""
BEFORE_PROGRESS = frozenset(
    {RideStatus.REQUESTED, RideStatus.OFFERED, RideStatus.MATCHED, RideStatus.ARRIVED}
)


class CanceledBy(StrEnum):
    """Who ended a ride that was not completed."""

    RIDER = "rider"
    ADMIN = "admin"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class AssignedUnicorn:
    """What the rider is told of the unicorn; `location` is where it stood when it was matched."""

    unicorn_id: str
    name: str
    color: str
    gender: str
    location: Location


@dataclass(frozen=True, slots=True)
class Rating:
    """The rider's verdict, 1 to 5 stars."""

    stars: int
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """A ride and the unicorn chosen for it, with what the choice costs."""

    ride_id: str
    unicorn_id: str
    pickup_eta_seconds: int
    pickup_distance_metres: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ride:
    """One request for a ride and all that became of it.

    `version` counts changes of what the rider can see. `due_at` is when the sweep looks at the
    ride next (none once terminal): the row itself is the outbox, the queue only a hint.
    """

    ride_id: str
    rider_id: str
    pickup: Location
    zone: str
    requested_at: datetime
    deadline_at: datetime
    due_at: datetime | None
    status: RideStatus = RideStatus.REQUESTED
    version: int = 1
    dropoff: Location | None = None
    note: str | None = None
    unicorn: AssignedUnicorn | None = None
    pickup_eta_seconds: int | None = None
    pickup_distance_metres: int | None = None
    matched_at: datetime | None = None
    arrived_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    canceled_at: datetime | None = None
    canceled_by: CanceledBy | None = None
    cancel_reason: str | None = None
    rating: Rating | None = None
    excluded: frozenset[str] = frozenset()
    fresh_deadlines: int = 0
    crashed_rounds: int = 0
    request_id: str = ""
    fingerprint: str | None = None

    @property
    def unicorn_id(self) -> str | None:
        """The unicorn reserved for (or, once terminal, last assigned to) this ride."""
        return self.unicorn.unicorn_id if self.unicorn else None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    def claimed(
        self, unicorn: Unicorn, at: Location, pairing: Pairing, now: datetime, offer: timedelta
    ) -> Ride:
        """The ride taken by `unicorn`: matched, or offered if the unicorn wants to be asked."""
        self._require(self.status is RideStatus.REQUESTED, "claimed")
        self._require(unicorn.unicorn_id not in self.excluded, "claimed by an excluded unicorn")
        accepted = unicorn.auto_accept
        return self._next(
            RideStatus.MATCHED if accepted else RideStatus.OFFERED,
            due_at=now + (LIVENESS_CHECK if accepted else offer),
            unicorn=unicorn.seen_by_rider(at),
            pickup_eta_seconds=pairing.pickup_eta_seconds,
            pickup_distance_metres=pairing.pickup_distance_metres,
            matched_at=now if accepted else None,
        )

    def accepted(self, now: datetime) -> Ride:
        """An offer taken up in time; `due_at` of an offered ride is the instant it expires."""
        self._require(self.status is RideStatus.OFFERED, "accepted")
        self._require(self.due_at is not None and now < self.due_at, "accepted after its expiry")
        return self._next(RideStatus.MATCHED, due_at=now + LIVENESS_CHECK, matched_at=now)

    def arrived(self, now: datetime, no_show: timedelta) -> Ride:
        """The unicorn is at the pickup and waits for the rider, at most `no_show`."""
        self._require(self.status is RideStatus.MATCHED, "marked arrived")
        return self._next(
            RideStatus.ARRIVED, due_at=now + min(LIVENESS_CHECK, no_show), arrived_at=now
        )

    def started(self, now: datetime) -> Ride:
        self._require(self.status is RideStatus.ARRIVED, "started")
        return self._next(RideStatus.IN_PROGRESS, due_at=now + LIVENESS_CHECK, started_at=now)

    def completed(self, now: datetime) -> Ride:
        self._require(self.status is RideStatus.IN_PROGRESS, "completed")
        return self._next(RideStatus.COMPLETED, due_at=None, completed_at=now)

    def canceled(self, by: CanceledBy, reason: str | None, now: datetime) -> Ride:
        """Ended early: by the rider before it is in progress, by others from any open state."""
        allowed = BEFORE_PROGRESS if by is CanceledBy.RIDER else BEFORE_PROGRESS | ASSIGNED
        if self.status not in allowed:
            raise NotCancelable(f"a ride that is {self.status} cannot be canceled by the {by}")
        return self._next(
            RideStatus.CANCELED, due_at=None, canceled_at=now, canceled_by=by, cancel_reason=reason
        )

    def returned(self, now: datetime, deadline: timedelta) -> Ride:
        """Back to `requested` without its unicorn, which never gets this ride again.

        A ride whose rider was already told of a unicorn gets a fresh deadline, at most
        `FRESH_DEADLINES` times; an offer that came to nothing does not.
        """
        self._require(self.status in BEFORE_PROGRESS & ASSIGNED, "returned")
        assert self.unicorn is not None  # noqa: S101 - an assigned ride has a unicorn
        told = self.status is not RideStatus.OFFERED
        fresh = told and self.fresh_deadlines < FRESH_DEADLINES
        return self._next(
            RideStatus.REQUESTED,
            due_at=now + FIRST_RETRY,
            unicorn=None,
            pickup_eta_seconds=None,
            pickup_distance_metres=None,
            matched_at=None,
            arrived_at=None,
            excluded=self.excluded | {self.unicorn.unicorn_id},
            deadline_at=now + deadline if fresh else self.deadline_at,
            fresh_deadlines=self.fresh_deadlines + fresh,
        )

    def unmatched(self) -> Ride:
        """No unicorn could be found before the deadline."""
        self._require(self.status is RideStatus.REQUESTED, "given up")
        return self._next(RideStatus.UNMATCHED, due_at=None)

    def rated(self, rating: Rating) -> Ride:
        self._require(self.status is RideStatus.COMPLETED, "rated")
        return replace(self, version=self.version + 1, rating=rating)

    def _next(self, status: RideStatus, **changes: object) -> Ride:
        return replace(self, status=status, version=self.version + 1, **changes)  # type: ignore[arg-type]

    def _require(self, legal: bool, verb: str) -> None:
        if not legal:
            raise IllegalTransition(f"a ride that is {self.status} cannot be {verb}")


class UnicornState(StrEnum):
    """Vehicle states in the words of MDS passenger services.

    `NON_CONTACTABLE` is computed when read (no position for a while) and never stored.
    """

    AVAILABLE = "available"
    RESERVED = "reserved"
    ON_TRIP = "on_trip"
    NON_OPERATIONAL = "non_operational"
    REMOVED = "removed"
    NON_CONTACTABLE = "non_contactable"


@dataclass(frozen=True, slots=True)
class Trip:
    """What a reserved unicorn is busy with, so that a round can tell when it will be free."""

    pickup: Location
    dropoff: Location | None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unicorn:
    """A unicorn of the fleet as stored; where it is lives in the fleet index."""

    unicorn_id: str
    name: str
    color: str
    gender: str
    version: int = 1
    account_sub: str | None = None
    auto_accept: bool = True
    state: UnicornState = UnicornState.NON_OPERATIONAL
    accepting: bool = False
    ride_id: str | None = None
    trip: Trip | None = None

    @property
    def can_take_a_ride(self) -> bool:
        return self.state is UnicornState.AVAILABLE and self.accepting and self.ride_id is None

    def seen_by_rider(self, at: Location) -> AssignedUnicorn:
        return AssignedUnicorn(self.unicorn_id, self.name, self.color, self.gender, at)

    def reserved(self, ride_id: str, trip: Trip) -> Unicorn:
        if not self.can_take_a_ride:
            raise UnicornBusy(f"unicorn {self.unicorn_id} cannot take a ride")
        return self._next(state=UnicornState.RESERVED, ride_id=ride_id, trip=trip)

    def departed(self, ride_id: str, now: datetime) -> Unicorn:
        """The rider is aboard."""
        self._require_ride(ride_id, self.state is UnicornState.RESERVED)
        assert self.trip is not None  # noqa: S101 - a reserved unicorn has a trip
        return self._next(state=UnicornState.ON_TRIP, trip=replace(self.trip, started_at=now))

    def released(self, ride_id: str, *, keep_accepting: bool = True) -> Unicorn:
        """Free again; one that fell silent takes no more rides until it says so."""
        self._require_ride(ride_id, True)
        accepting = self.accepting and keep_accepting
        return self._next(
            state=UnicornState.AVAILABLE if accepting else UnicornState.NON_OPERATIONAL,
            accepting=accepting,
            ride_id=None,
            trip=None,
        )

    def with_availability(self, accepting: bool) -> Unicorn:
        """On or off duty. A ride under way is finished first: only `accepting` changes then."""
        if self.state is UnicornState.REMOVED:
            raise IllegalTransition("a removed unicorn cannot change its availability")
        if self.ride_id is not None:
            return self if accepting == self.accepting else self._next(accepting=accepting)
        state = UnicornState.AVAILABLE if accepting else UnicornState.NON_OPERATIONAL
        if (accepting, state) == (self.accepting, self.state):
            return self
        return self._next(accepting=accepting, state=state)

    def removed(self) -> Unicorn:
        if self.ride_id is not None:
            raise UnicornBusy(f"unicorn {self.unicorn_id} has a ride")
        return self._next(state=UnicornState.REMOVED, accepting=False)

    def _next(self, **changes: object) -> Unicorn:
        return replace(self, version=self.version + 1, **changes)  # type: ignore[arg-type]

    def _require_ride(self, ride_id: str, legal: bool) -> None:
        if self.ride_id != ride_id or not legal:
            raise IllegalTransition(
                f"unicorn {self.unicorn_id} is {self.state} and not on this ride"
            )


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """A unicorn as the fleet index knows it: its state as last seen, its position if fresh.

    `idle_since`: when it last became usable, if the index noted it.
    """

    unicorn: Unicorn
    position: Position | None
    idle_since: datetime | None = None


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a listing; `next_key` continues it (none on the last page)."""

    items: tuple[Item, ...]
    next_key: Mapping[str, str] | None = None
