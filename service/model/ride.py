"""A ride and its legal transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated

from service.model.errors import IllegalTransition, NotCancelable
from service.model.field_kinds import OF_END, OF_REQUEST, OF_UNICORN, TEXT, defaults
from service.model.places import Location
from service.model.status import (
    ASSIGNED,
    BEFORE_PROGRESS,
    STATUS_AFTER,
    TERMINAL,
    CanceledBy,
    Happened,
    RideStatus,
    RideStep,
    canceling,
    with_step,
)
from service.model.unicorn import AssignedUnicorn, Pairing, Unicorn

FIRST_RETRY = timedelta(seconds=2)
"""How soon a ride is due after it was requested (again). Its job should be faster than that."""

LIVENESS_CHECK = timedelta(seconds=15)
"""How soon the sweep looks again at an assigned ride with which something is wrong."""

LEFT_TO_PATROLS = timedelta(minutes=10)
"""How long the sweep leaves an assigned ride to the patrols, which watch its unicorn."""

FRESH_DEADLINES = 3
"""How many times a ride that lost its unicorn gets a new deadline."""


@dataclass(frozen=True, slots=True)
class Rating:
    """The rider's verdict, 1 to 5 stars."""

    stars: int
    comment: Annotated[str | None, TEXT] = None


ERASED = "erased"
"""The rider id of a ride whose rider was erased; a token's `sub` is a UUID and never equals it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ride:
    """A ride, from its request to its end. `model.field_kinds` explains the kinds of its fields;
    the README says how to add one.

    `version` counts the changes that the rider can see. `due_at` is when the ride is due for the
    sweep, None once the ride is terminal. The row says what is left to do (it is the outbox); a
    message in the queue is only a hint.
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
    note: Annotated[str | None, TEXT] = None
    unicorn: Annotated[AssignedUnicorn | None, OF_UNICORN] = None
    pickup_eta_seconds: Annotated[int | None, OF_UNICORN] = None
    pickup_eta_latest_seconds: Annotated[int | None, OF_UNICORN] = None
    pickup_distance_metres: Annotated[int | None, OF_UNICORN] = None
    offer_expires_at: Annotated[datetime | None, OF_UNICORN] = None
    """When the offer expires; an accepted ride keeps it. Read `offer_ends_at` instead. When that
    instant has passed, the sweep ends the offer (`_expire_offer` in `service/core/timeouts.py`)."""
    matched_at: Annotated[datetime | None, OF_UNICORN] = None
    arrived_at: Annotated[datetime | None, OF_UNICORN] = None
    started_at: Annotated[datetime | None, OF_UNICORN] = None
    completed_at: Annotated[datetime | None, OF_UNICORN] = None
    canceled_at: Annotated[datetime | None, OF_END] = None
    canceled_by: Annotated[CanceledBy | None, OF_END] = None
    cancel_reason: Annotated[str | None, OF_END, TEXT] = None
    rating: Annotated[Rating | None, OF_END] = None
    excluded: frozenset[str] = frozenset()
    """Unicorns that never get this ride again: they declined it, or lost it other than by an
    expired offer (those are in `missed_by`)."""
    missed_by: frozenset[str] = frozenset()
    """Unicorns whose offer of this ride expired; asked again only if no other is in reach."""
    not_coming: frozenset[str] = frozenset()
    """Unicorns that drove away or reported no position instead of coming: those that lost the ride
    because of it, and the present one until a look finds that it comes."""
    declined: Mapping[str, int] = field(default_factory=dict)
    """Unicorns that declined this ride, and the version that each decline made."""
    fresh_deadlines: int = 0
    arrived_distance_metres: Annotated[int | None, OF_UNICORN] = None
    """Metres from the unicorn to the pickup when it reported its arrival; None if unknown."""
    completed_distance_metres: Annotated[int | None, OF_UNICORN] = None
    """Metres from the unicorn to the dropoff when it completed the ride; None if unknown."""
    reached_at: Annotated[datetime | None, OF_UNICORN] = None
    """When the unicorn was first seen at the pickup; None if it was not seen there."""
    arrive_refused_at: Annotated[datetime | None, OF_UNICORN] = None
    """When the unicorn first reported its arrival while its position was too far away."""
    failed_looks: int = 0
    """How many times the sweep has failed on this ride since it last postponed the ride."""
    timeline: str | None = None
    """What happened to the ride after its request; see `model.status.with_step`."""
    request_id: Annotated[str, OF_REQUEST] = ""
    fingerprint: Annotated[str | None, OF_REQUEST] = None

    @property
    def unicorn_id(self) -> str | None:
        """The unicorn reserved for (or, once terminal, last assigned to) this ride."""
        return self.unicorn.unicorn_id if self.unicorn else None

    @property
    def offer_ends_at(self) -> datetime | None:
        """The instant from which the open offer can no longer be accepted; None without an offer.

        It differs from `due_at`, which the sweep moves when it fails on the ride.
        """
        if self.status is not RideStatus.OFFERED:
            return None
        # Offers of the previous release end at `due_at`. Remove this with the next release.
        return self.offer_expires_at or self.due_at

    @property
    def attention(self) -> str | None:
        """Why staff should look at the ride; None if all is well."""
        is_waiting = self.status is RideStatus.MATCHED and self.unicorn_id in self.not_coming
        return "not_coming" if is_waiting else None

    @property
    def ended_at(self) -> datetime | None:
        """When the ride ended; None while it is open. For an unmatched ride: its deadline."""
        if not self.is_terminal:
            return None
        return self.completed_at or self.canceled_at or self.deadline_at

    def only_waits(self, now: datetime) -> bool:
        """Whether the ride needs nothing but another round."""
        return self.status is RideStatus.REQUESTED and now < self.deadline_at

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    def claimed(
        self,
        unicorn: Unicorn,
        at: Location,
        pairing: Pairing,
        now: datetime,
        offer_lasts: timedelta,
    ) -> Ride:
        """The ride with `unicorn`: matched, or offered if the unicorn wants to be asked first."""
        self._require(self.status is RideStatus.REQUESTED, "claimed")
        self._require(unicorn.unicorn_id not in self.excluded, "claimed by an excluded unicorn")
        accepted = unicorn.auto_accept
        return self._next(
            RideStep.MATCHED if accepted else RideStep.OFFERED,
            now,
            unicorn.unicorn_id,
            due_at=now + (LEFT_TO_PATROLS if accepted else offer_lasts),
            unicorn=unicorn.seen_by_rider(at),
            pickup_eta_seconds=pairing.pickup_eta_seconds,
            pickup_eta_latest_seconds=pairing.pickup_eta_latest_seconds,
            pickup_distance_metres=pairing.pickup_distance_metres,
            offer_expires_at=None if accepted else now + offer_lasts,
            matched_at=now if accepted else None,
        )

    def accepted(self, now: datetime) -> Ride:
        """The ride after its driver accepted the offer, which is legal until the offer expires."""
        ends_at = self.offer_ends_at
        self._require(ends_at is not None, "accepted")
        self._require(ends_at is not None and now < ends_at, "accepted after its expiry")
        step = RideStep.ACCEPTED
        return self._next(step, now, due_at=now + LEFT_TO_PATROLS, matched_at=now)

    def arrived(self, now: datetime, no_show_after: timedelta, metres: int | None = None) -> Ride:
        """The unicorn is at the pickup and waits for the rider for at most `no_show_after`."""
        self._require(self.status is RideStatus.MATCHED, "marked arrived")
        return self._next(
            RideStep.ARRIVED,
            now,
            due_at=min(self.due_at or now, now + no_show_after),
            arrived_at=now,
            arrived_distance_metres=metres,
            arrive_refused_at=None,
        )

    def started(self, now: datetime, reached_at: datetime | None = None) -> Ride:
        """The rider is aboard; the unicorn was first seen at the pickup at `reached_at`."""
        self._require(self.status is RideStatus.ARRIVED, "started")
        # No round looks for a unicorn after this, so the request's id, which rounds log, can go.
        return self._next(
            RideStep.STARTED, now, started_at=now, reached_at=reached_at, request_id=""
        )

    def completed(self, now: datetime, metres: int | None = None) -> Ride:
        self._require(self.status is RideStatus.IN_PROGRESS, "completed")
        return self._next(
            RideStep.COMPLETED, now, due_at=None, completed_at=now, completed_distance_metres=metres
        )

    def canceled(self, by: CanceledBy, reason: str | None, now: datetime) -> Ride:
        """Canceled: by the rider before the ride is in progress, by others in any open state."""
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

    def returned(self, now: datetime, match_within: timedelta, why: RideStep) -> Ride:
        """Back to `requested` without its unicorn, which never gets this ride again.

        If the rider had already seen the unicorn, the ride gets a new deadline, at most
        `FRESH_DEADLINES` times. After an offer that was not accepted the deadline stays.
        """
        self._require(self.status in BEFORE_PROGRESS & ASSIGNED, "returned")
        assert self.unicorn is not None  # noqa: S101 - an assigned ride has a unicorn
        was_shown = self.status is not RideStatus.OFFERED
        fresh = was_shown and self.fresh_deadlines < FRESH_DEADLINES
        return self._next(
            why,
            now,
            self.unicorn.unicorn_id,
            due_at=now + FIRST_RETRY,
            **defaults(Ride, OF_UNICORN),
            excluded=self.excluded | {self.unicorn.unicorn_id},
            not_coming=self.not_coming - {self.unicorn.unicorn_id},
            deadline_at=now + match_within if fresh else self.deadline_at,
            fresh_deadlines=self.fresh_deadlines + fresh,
        )

    def declined_by_unicorn(self, now: datetime, match_within: timedelta) -> Ride:
        """`returned`, because the unicorn declined it."""
        after = self.returned(now, match_within, RideStep.DECLINED)
        return replace(after, declined={**self.declined, self.unicorn_id or "": after.version})

    def offer_missed(self, now: datetime, match_within: timedelta) -> Ride:
        """`returned`, because its offer expired; the same unicorn may get another offer of it."""
        after = self.returned(now, match_within, RideStep.OFFER_EXPIRED)
        missed_by = self.missed_by | {self.unicorn_id or ""}
        return replace(after, excluded=self.excluded, missed_by=missed_by)

    def not_come_to(self, now: datetime, match_within: timedelta) -> Ride:
        """`returned`, because its unicorn does not come."""
        not_coming = self.not_coming | {self.unicorn_id or ""}
        after = self.returned(now, match_within, RideStep.NOT_COMING)
        return replace(after, not_coming=not_coming)

    def without_unicorn(self) -> Ride:
        """This version of the ride without its unicorn, for somebody who must not see it."""
        return replace(self, **defaults(Ride, OF_UNICORN))

    def as_left_by(self, unicorn_id: str) -> Ride:
        """The ride as it was after this unicorn declined it; who has it now is not shown.

        Raises `KeyError` if the unicorn did not decline it.
        """
        return replace(
            self,
            status=RideStatus.REQUESTED,
            version=self.declined[unicorn_id],
            **defaults(Ride, OF_UNICORN, OF_END),
        )

    def unmatched(self, now: datetime, why: RideStep = RideStep.DEADLINE_PASSED) -> Ride:
        """Ended without a unicorn: the deadline has passed, or the ride was set aside."""
        self._require(self.status is RideStatus.REQUESTED, "given up")
        return self._next(why, now, due_at=None)

    def replayed(self, now: datetime, match_within: timedelta) -> Ride:
        """Requested again after it was set aside; excluded unicorns stay excluded."""
        has_rider = self.rider_id != ERASED
        self._require(self.status is RideStatus.UNMATCHED and has_rider, "replayed")
        return self._next(
            RideStep.REPLAYED, now, due_at=now + FIRST_RETRY, deadline_at=now + match_within
        )

    def rated(self, rating: Rating) -> Ride:
        self._require(self.status is RideStatus.COMPLETED, "rated")
        return replace(self, version=self.version + 1, rating=rating)

    def erased(self) -> Ride:
        """The ride without personal data: no rider, no exact places, no texts."""
        self._require(self.is_terminal, "erased")
        return replace(
            self,
            version=self.version + 1,
            rider_id=ERASED,
            pickup=self.pickup.blurred(),
            dropoff=self.dropoff and self.dropoff.blurred(),
            # It may have been next to the rider when it was matched.
            unicorn=self.unicorn
            and replace(self.unicorn, location=self.unicorn.location.blurred()),
            rating=self.rating and replace(self.rating, **defaults(Rating, TEXT)),
            **defaults(Ride, TEXT, OF_REQUEST),
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
