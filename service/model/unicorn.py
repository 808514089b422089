"""A unicorn, its legal transitions, and what the fleet index knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from service.model.errors import IllegalTransition, UnicornBusy
from service.model.places import Location, Position


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


@dataclass(frozen=True, slots=True)
class AssignedUnicorn:
    """What the rider is told of the unicorn; `location` is where it stood when it was matched."""

    unicorn_id: str
    name: str
    color: str
    gender: str
    location: Location


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
    idle_since: datetime | None = None
    """Waits for a ride since then: its last ride, its last refusal, or its going on duty.

    A ride that was taken from it before the rider was aboard does not count: it keeps its place.
    """
    missed: frozenset[str] = frozenset()
    """Rides whose offers it missed in a row, with no answer in between."""

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

    def rejoined(self, ride_id: str, trip: Trip) -> Unicorn | None:
        """On this ride in the state that fits its trip; itself if it is, none if it cannot be."""
        state = UnicornState.ON_TRIP if trip.started_at else UnicornState.RESERVED
        if self.ride_id == ride_id and self.state is state:
            return self
        if self.ride_id != ride_id and not self.can_take_a_ride:
            return None
        return self._next(state=state, ride_id=ride_id, trip=trip)

    def released(
        self,
        ride_id: str,
        now: datetime,
        *,
        refused: bool = False,
        unanswered: bool = False,
        keep_accepting: bool = True,
    ) -> Unicorn:
        """Free again; one that fell silent takes no more rides until it says so.

        `refused`: it did not want the ride, or did not answer. `unanswered`: the ride was taken
        back while it was only offered, so nothing is known of whether anybody is there.
        """
        self._require_ride(ride_id, True)
        accepting = self.accepting and keep_accepting
        served = refused or self.state is UnicornState.ON_TRIP
        return self._next(
            state=UnicornState.AVAILABLE if accepting else UnicornState.NON_OPERATIONAL,
            accepting=accepting,
            ride_id=None,
            trip=None,
            idle_since=now if served else self.idle_since,
            missed=self.missed if unanswered else frozenset(),
        )

    def offer_missed(self, ride_id: str, now: datetime, *, counts: bool, most: int) -> Unicorn:
        """`released` after an offer that expired; off duty after `most` in a row (0: never).

        `counts`: the unicorn was heard, and could have answered.
        """
        missed = self.missed | {ride_id} if counts else self.missed
        gone = 0 < most <= len(missed)
        after = self.released(ride_id, now, refused=True, keep_accepting=not gone)
        return replace(after, missed=frozenset() if gone else missed)

    def with_availability(self, accepting: bool, now: datetime) -> Unicorn:
        """On or off duty. A ride under way is finished first: only `accepting` changes then."""
        if self.state is UnicornState.REMOVED:
            raise IllegalTransition("a removed unicorn cannot change its availability")
        if self.ride_id is not None:
            return self if accepting == self.accepting else self._next(accepting=accepting)
        state = UnicornState.AVAILABLE if accepting else UnicornState.NON_OPERATIONAL
        if (accepting, state) == (self.accepting, self.state):
            return self
        since = now if accepting else self.idle_since
        return self._next(accepting=accepting, state=state, idle_since=since)

    def amended(
        self, particulars: Mapping[str, object], accepting: bool | None, now: datetime
    ) -> Unicorn:
        """With other particulars (fields that say what it is), and on or off duty if that is said.

        One step, so one version more, or the same unicorn if nothing is changed.
        """
        if self.state is UnicornState.REMOVED:
            raise IllegalTransition("a removed unicorn cannot be changed")
        after = replace(self, **particulars)  # type: ignore[arg-type]
        if accepting is not None:
            after = replace(after.with_availability(accepting, now), version=self.version)
        return self if after == self else after._next()

    def removed(self) -> Unicorn:
        """Gone for good; its id is never used again. Removing it again changes nothing."""
        if self.state is UnicornState.REMOVED:
            return self
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
    """A unicorn as the fleet index knows it: its state as last seen, its position if fresh."""

    unicorn: Unicorn
    position: Position | None
