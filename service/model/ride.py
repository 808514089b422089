"""A ride and its legal transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from service.model.errors import IllegalTransition, NotCancelable
from service.model.pairing import Pairing
from service.model.places import Location
from service.model.status import (
    ASSIGNED,
    BEFORE_PROGRESS,
    STATUS_AFTER,
    TERMINAL,
    CanceledBy,
    RideStatus,
    RideStep,
    canceling,
)
from service.model.timeline import Happened, with_step
from service.model.unicorn import AssignedUnicorn, Unicorn

FIRST_RETRY = timedelta(seconds=2)
"""How long a new ride may wait for its job before the sweep looks for it."""

LIVENESS_CHECK = timedelta(seconds=15)
"""How often the sweep checks that the unicorn of an assigned ride is still heard of."""

FRESH_DEADLINES = 3
"""How many times a ride that lost its unicorn gets a full new deadline."""


@dataclass(frozen=True, slots=True)
class Rating:
    """The rider's verdict, 1 to 5 stars."""

    stars: int
    comment: str | None = None


ERASED = "erased"
"""Stands for a rider who is forgotten; no token's `sub` (a UUID) is like it."""


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
    pickup_eta_latest_seconds: int | None = None
    pickup_distance_metres: int | None = None
    offer_expires_at: datetime | None = None
    """Of the last offer that the service made; `offer_ends_at` is what counts."""
    matched_at: datetime | None = None
    arrived_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    canceled_at: datetime | None = None
    canceled_by: CanceledBy | None = None
    cancel_reason: str | None = None
    rating: Rating | None = None
    excluded: frozenset[str] = frozenset()
    """Unicorns that never get this ride again: they declined, fell silent or were taken off it."""
    missed_by: frozenset[str] = frozenset()
    """Unicorns whose offer of this ride expired: asked again only when nobody else is in reach."""
    not_coming: frozenset[str] = frozenset()
    """Unicorns that drove away or said nothing of their place instead of coming: those it was
    taken from, and the present one while it does not come."""
    declined: Mapping[str, int] = field(default_factory=dict)
    """Unicorns that declined this ride, and the version that each decline made."""
    fresh_deadlines: int = 0
    crashed_rounds: int = 0
    """Not used. The release before this one cannot read a ride without it; remove with the next."""
    arrived_distance_metres: int | None = None
    completed_distance_metres: int | None = None
    """How far from the pickup and the dropoff the unicorn was when it said so, if that is known."""
    reached_at: datetime | None = None
    """When the unicorn was first seen at the pickup, if it was seen there."""
    arrive_refused_at: datetime | None = None
    """Since when the unicorn says that it has arrived although it seems to be elsewhere."""
    failed_looks: int = 0
    """How often in a row the sweep could not look after the ride."""
    timeline: str | None = None
    """What happened to the ride after its request; see `model.timeline`."""
    request_id: str = ""
    fingerprint: str | None = None

    @property
    def unicorn_id(self) -> str | None:
        """The unicorn reserved for (or, once terminal, last assigned to) this ride."""
        return self.unicorn.unicorn_id if self.unicorn else None

    @property
    def offer_ends_at(self) -> datetime | None:
        """The instant from which an open offer can no longer be accepted; else none.

        It is not `due_at`: the sweep moves that when a look at the ride fails.
        """
        if self.status is not RideStatus.OFFERED:
            return None
        # The release before this one made offers that ended at `due_at`. Remove with the next.
        return self.offer_expires_at or self.due_at

    @property
    def attention(self) -> str | None:
        """Why staff should look at the ride; none if all is well."""
        waits_for_it = self.status is RideStatus.MATCHED and self.unicorn_id in self.not_coming
        return "not_coming" if waits_for_it else None

    @property
    def ended_at(self) -> datetime | None:
        """None while it is open; for an unmatched ride, when it could last have been matched."""
        if not self.is_terminal:
            return None
        return self.completed_at or self.canceled_at or self.deadline_at

    def only_waits(self, now: datetime) -> bool:
        """Whether nothing is to be done for the ride but to ask for a round once more."""
        return self.status is RideStatus.REQUESTED and now < self.deadline_at

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
            RideStep.MATCHED if accepted else RideStep.OFFERED,
            now,
            unicorn.unicorn_id,
            due_at=now + (LIVENESS_CHECK if accepted else offer),
            unicorn=unicorn.seen_by_rider(at),
            pickup_eta_seconds=pairing.pickup_eta_seconds,
            pickup_eta_latest_seconds=pairing.pickup_eta_latest_seconds,
            pickup_distance_metres=pairing.pickup_distance_metres,
            offer_expires_at=None if accepted else now + offer,
            matched_at=now if accepted else None,
        )

    def accepted(self, now: datetime) -> Ride:
        """An offer taken up in time."""
        ends_at = self.offer_ends_at
        self._require(ends_at is not None, "accepted")
        self._require(ends_at is not None and now < ends_at, "accepted after its expiry")
        step = RideStep.ACCEPTED
        return self._next(step, now, due_at=now + LIVENESS_CHECK, matched_at=now)

    def arrived(self, now: datetime, no_show: timedelta, metres: int | None = None) -> Ride:
        """The unicorn is at the pickup and waits for the rider, at most `no_show`."""
        self._require(self.status is RideStatus.MATCHED, "marked arrived")
        return self._next(
            RideStep.ARRIVED,
            now,
            due_at=now + min(LIVENESS_CHECK, no_show),
            arrived_at=now,
            arrived_distance_metres=metres,
            arrive_refused_at=None,
        )

    def started(self, now: datetime, reached_at: datetime | None = None) -> Ride:
        """The rider is aboard; the unicorn was first seen at the pickup at `reached_at`."""
        self._require(self.status is RideStatus.ARRIVED, "started")
        return self._next(
            RideStep.STARTED,
            now,
            due_at=now + LIVENESS_CHECK,
            started_at=now,
            reached_at=reached_at,
        )

    def completed(self, now: datetime, metres: int | None = None) -> Ride:
        self._require(self.status is RideStatus.IN_PROGRESS, "completed")
        return self._next(
            RideStep.COMPLETED,
            now,
            due_at=None,
            completed_at=now,
            completed_distance_metres=metres,
        )

    def canceled(self, by: CanceledBy, reason: str | None, now: datetime) -> Ride:
        """Ended early: by the rider before it is in progress, by others from any open state."""
        allowed = BEFORE_PROGRESS if by is CanceledBy.RIDER else BEFORE_PROGRESS | ASSIGNED
        if self.status not in allowed:
            raise NotCancelable(f"a ride that is {self.status} cannot be canceled by the {by}")
        return self._next(
            canceling(by, reason),
            now,
            due_at=None,
            canceled_at=now,
            canceled_by=by,
            cancel_reason=reason,
        )

    def returned(self, now: datetime, deadline: timedelta, why: RideStep) -> Ride:
        """Back to `requested` without its unicorn, which never gets this ride again.

        A ride whose rider was already told of a unicorn gets a fresh deadline, at most
        `FRESH_DEADLINES` times; an offer that came to nothing does not.
        """
        self._require(self.status in BEFORE_PROGRESS & ASSIGNED, "returned")
        assert self.unicorn is not None  # noqa: S101 - an assigned ride has a unicorn
        told = self.status is not RideStatus.OFFERED
        fresh = told and self.fresh_deadlines < FRESH_DEADLINES
        return self._next(
            why,
            now,
            self.unicorn.unicorn_id,
            due_at=now + FIRST_RETRY,
            unicorn=None,
            pickup_eta_seconds=None,
            pickup_eta_latest_seconds=None,
            pickup_distance_metres=None,
            matched_at=None,
            arrived_at=None,
            arrived_distance_metres=None,
            arrive_refused_at=None,
            excluded=self.excluded | {self.unicorn.unicorn_id},
            not_coming=self.not_coming - {self.unicorn.unicorn_id},
            deadline_at=now + deadline if fresh else self.deadline_at,
            fresh_deadlines=self.fresh_deadlines + fresh,
        )

    def declined_by_unicorn(self, now: datetime, deadline: timedelta) -> Ride:
        """`returned`, since the unicorn does not want it."""
        after = self.returned(now, deadline, RideStep.DECLINED)
        return replace(after, declined={**self.declined, self.unicorn_id or "": after.version})

    def offer_missed(self, now: datetime, deadline: timedelta) -> Ride:
        """`returned`, since the unicorn did not answer in time; it may be asked again."""
        after = self.returned(now, deadline, RideStep.OFFER_EXPIRED)
        missed_by = self.missed_by | {self.unicorn_id or ""}
        return replace(after, excluded=self.excluded, missed_by=missed_by)

    def not_come_to(self, now: datetime, deadline: timedelta) -> Ride:
        """`returned`, since its unicorn does not come."""
        not_coming = self.not_coming | {self.unicorn_id or ""}
        after = self.returned(now, deadline, RideStep.NOT_COMING)
        return replace(after, not_coming=not_coming)

    def as_left_by(self, unicorn_id: str) -> Ride:
        """The ride as the decline of this unicorn left it: whose it is now is none of its business.

        Raises `KeyError` for a unicorn that did not decline it.
        """
        return replace(
            self,
            status=RideStatus.REQUESTED,
            version=self.declined[unicorn_id],
            unicorn=None,
            pickup_eta_seconds=None,
            pickup_eta_latest_seconds=None,
            pickup_distance_metres=None,
            matched_at=None,
            arrived_at=None,
            started_at=None,
            completed_at=None,
            canceled_at=None,
            canceled_by=None,
            cancel_reason=None,
            rating=None,
        )

    def unmatched(self, now: datetime, why: RideStep = RideStep.DEADLINE_PASSED) -> Ride:
        """No unicorn could be found before the deadline, or the ride was set aside."""
        self._require(self.status is RideStatus.REQUESTED, "given up")
        return self._next(why, now, due_at=None)

    def replayed(self, now: datetime, deadline: timedelta) -> Ride:
        """Requested once more after it was set aside; who was excluded stays so."""
        is_somebodys = self.rider_id != ERASED
        self._require(self.status is RideStatus.UNMATCHED and is_somebodys, "replayed")
        return self._next(
            RideStep.REPLAYED,
            now,
            due_at=now + FIRST_RETRY,
            deadline_at=now + deadline,
        )

    def rated(self, rating: Rating) -> Ride:
        self._require(self.status is RideStatus.COMPLETED, "rated")
        return replace(self, version=self.version + 1, rating=rating)

    def erased(self) -> Ride:
        """Without what tells of its rider: who, where exactly, and anybody's words."""
        self._require(self.is_terminal, "erased")
        return replace(
            self,
            version=self.version + 1,
            rider_id=ERASED,
            pickup=self.pickup.blurred(),
            dropoff=self.dropoff and self.dropoff.blurred(),
            note=None,
            cancel_reason=None,
            rating=self.rating and replace(self.rating, comment=None),
            request_id="",
            fingerprint=None,
        )

    def _next(
        self, step: RideStep, now: datetime, unicorn_id: str | None = None, /, **changes: object
    ) -> Ride:
        version = self.version + 1
        happened = Happened(version, now, step, unicorn_id)
        timeline = with_step(self.timeline, self.requested_at, happened)
        return replace(
            self,
            status=STATUS_AFTER[step],
            version=version,
            timeline=timeline,
            **changes,  # type: ignore[arg-type]
        )

    def _require(self, legal: bool, verb: str) -> None:
        if not legal:
            raise IllegalTransition(f"a ride that is {self.status} cannot be {verb}")
