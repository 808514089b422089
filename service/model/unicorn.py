"""A unicorn, its legal transitions, its entry in the fleet index, its pairing with a ride, and the
advice where it should wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from service.model.errors import IllegalTransition, UnicornBusy
from service.model.places import Location, Position


class UnicornState(StrEnum):
    """Vehicle states in the words of MDS passenger services.

    `NON_CONTACTABLE` is computed when read and never stored: the unicorn has sent no position for a
    while or, during a ride, has not called.
    """

    AVAILABLE = "available"
    RESERVED = "reserved"
    ON_TRIP = "on_trip"
    NON_OPERATIONAL = "non_operational"
    REMOVED = "removed"
    NON_CONTACTABLE = "non_contactable"


@dataclass(frozen=True, slots=True)
class Trip:
    """The trip of a reserved unicorn; a round computes from it when the unicorn will be free."""

    pickup: Location
    dropoff: Location | None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AssignedUnicorn:
    """The unicorn as its rider sees it; `location` is where it was when it got the ride."""

    unicorn_id: str
    name: str
    color: str
    gender: str
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Unicorn:
    """A unicorn as stored. Its position is in the fleet index."""

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
    """Since when the unicorn has waited for a ride: since its last ride with the rider aboard
    ended, since it declined or missed an offer, or since it went on duty. A ride that ended, or
    that it lost in another way, before the rider was aboard changes nothing."""
    missed: frozenset[str] = frozenset()
    """Rides whose offers to this unicorn expired in a row without an answer."""

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
        """The unicorn on this ride, in the state that fits the trip; unchanged if it was so before.

        None if the unicorn has another ride or cannot take one.
        """
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
        waits_anew: bool = False,
        withdrawn: bool = False,
        keep_accepting: bool = True,
    ) -> Unicorn:
        """Free again.

        `waits_anew`: its wait begins now, because it declined the ride or did not answer.
        `withdrawn`: the ride was taken back while it was only offered. It is unknown whether
        anybody is there, so the offers that the unicorn missed still count. `keep_accepting`: False
        for a unicorn that fell silent, which gets no rides until it goes on duty again.
        """
        self._require_ride(ride_id, True)
        accepting = self.accepting and keep_accepting
        waits_anew = waits_anew or self.state is UnicornState.ON_TRIP
        return self._next(
            state=UnicornState.AVAILABLE if accepting else UnicornState.NON_OPERATIONAL,
            accepting=accepting,
            ride_id=None,
            trip=None,
            idle_since=now if waits_anew else self.idle_since,
            missed=self.missed if withdrawn else frozenset(),
        )

    def offer_missed(self, ride_id: str, now: datetime, *, counts: bool, most: int) -> Unicorn:
        """`released` after an offer expired; off duty once offers of `most` rides in a row have
        expired (0: never).

        `counts`: whether the unicorn was heard and could have answered.
        """
        missed = self.missed | {ride_id} if counts else self.missed
        gone = 0 < most <= len(missed)
        after = self.released(ride_id, now, waits_anew=True, keep_accepting=not gone)
        return replace(after, missed=frozenset() if gone else missed)

    def with_availability(self, accepting: bool, now: datetime) -> Unicorn:
        """On or off duty. During a ride only `accepting` changes: the ride is finished first."""
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
        """With other particulars (name, color …), and on or off duty unless `accepting` is None.

        One step, so one version more; the same unicorn if nothing changes.
        """
        if self.state is UnicornState.REMOVED:
            raise IllegalTransition("a removed unicorn cannot be changed")
        after = replace(self, **particulars)  # type: ignore[arg-type]
        if accepting is not None:
            after = replace(after.with_availability(accepting, now), version=self.version)
        return self if after == self else after._next()

    def removed(self) -> Unicorn:
        """Removed for good: its id is never used again. Removing it twice changes nothing."""
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
                f"unicorn {self.unicorn_id} is {self.state} with ride {self.ride_id}: "
                f"not legal for ride {ride_id}"
            )


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """A unicorn in the fleet index: its state as last noted, and its position if fresh."""

    unicorn: Unicorn
    position: Position | None


class AdviceReason(StrEnum):
    """Why a unicorn should wait elsewhere."""

    RIDERS_EXPECTED = "riders_expected"


@dataclass(frozen=True, slots=True)
class Advice:
    """Where an idle unicorn should wait. The unicorn need not follow the advice."""

    unicorn_id: str
    cell: str
    """The goal, an H3 cell. Clients are not told of new advice with the same goal."""
    location: Location
    given_at: datetime
    expires_at: datetime
    reason: AdviceReason = AdviceReason.RIDERS_EXPECTED

    def holds(self, now: datetime) -> bool:
        """Whether the advice is valid. Before `given_at` it is not: a clock was set back."""
        return self.given_at <= now < self.expires_at


@dataclass(frozen=True, slots=True)
class Pairing:
    """A ride, the unicorn that a round chose for it, and the drive to the pickup."""

    ride_id: str
    unicorn_id: str
    pickup_eta_seconds: int
    pickup_distance_metres: int
    pickup_eta_latest_seconds: int | None = None
    """The time within which nine of ten unicorns arrive."""

    def with_eta(self, seconds: float, latest_factor: float) -> Pairing:
        """The pairing with another pickup ETA, and `latest_factor` times it as the latest one."""
        latest = round(seconds * latest_factor)
        return replace(self, pickup_eta_seconds=round(seconds), pickup_eta_latest_seconds=latest)
