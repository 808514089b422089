"""The statuses of a ride, the steps that lead to them, and the timeline of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class RideStatus(StrEnum):
    """The statuses of a ride.

    The first six stand in the order of a completed ride; the last two are its other ends.
    """

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
"""Statuses in which exactly one unicorn is reserved for the ride."""
SHOWS_UNICORN = ASSIGNED - {RideStatus.OFFERED}
"""Statuses in which rider and unicorn see each other."""
BEFORE_PROGRESS = frozenset(
    {RideStatus.REQUESTED, RideStatus.OFFERED, RideStatus.MATCHED, RideStatus.ARRIVED}
)


class CanceledBy(StrEnum):
    """Who ended a ride that was not completed."""

    RIDER = "rider"
    ADMIN = "admin"
    SYSTEM = "system"


class RideStep(StrEnum):
    """What happened to a ride: a transition together with its cause."""

    REQUESTED = "requested"
    MATCHED = "matched"
    """A round gave the ride a unicorn that takes rides without being asked."""
    OFFERED = "offered"
    """A round chose a unicorn that wants to be asked."""
    ACCEPTED = "accepted"
    DECLINED = "declined"
    OFFER_EXPIRED = "offer_expired"
    FELL_SILENT = "fell_silent"
    """The ride's unicorn was silent for too long."""
    NOT_COMING = "not_coming"
    """The ride's unicorn drove away, or reported no position, instead of coming."""
    REASSIGNED = "reassigned"
    """Staff took the ride from its unicorn."""
    RECONCILED = "reconciled"
    """`reconcile` found that the ride's unicorn was gone, off duty or on another ride."""
    ARRIVED = "arrived"
    STARTED = "started"
    COMPLETED = "completed"
    CANCELED_BY_RIDER = "canceled_by_rider"
    CANCELED_BY_ADMIN = "canceled_by_admin"
    CANCELED_BY_SYSTEM = "canceled_by_system"
    NO_SHOW = "no_show"
    """The rider did not come to the unicorn that had arrived."""
    UNICORN_LOST = "unicorn_lost"
    """The ride's unicorn fell silent for good with the rider aboard."""
    DEADLINE_PASSED = "deadline_passed"
    """No unicorn was found in time."""
    SET_ASIDE = "set_aside"
    """The ride killed worker processes and became a dead letter."""
    REPLAYED = "replayed"
    """Staff replayed the dead letter."""


STATUS_AFTER: Final[Mapping[RideStep, RideStatus]] = {
    RideStep.REQUESTED: RideStatus.REQUESTED,
    RideStep.MATCHED: RideStatus.MATCHED,
    RideStep.OFFERED: RideStatus.OFFERED,
    RideStep.ACCEPTED: RideStatus.MATCHED,
    RideStep.DECLINED: RideStatus.REQUESTED,
    RideStep.OFFER_EXPIRED: RideStatus.REQUESTED,
    RideStep.FELL_SILENT: RideStatus.REQUESTED,
    RideStep.NOT_COMING: RideStatus.REQUESTED,
    RideStep.REASSIGNED: RideStatus.REQUESTED,
    RideStep.RECONCILED: RideStatus.REQUESTED,
    RideStep.ARRIVED: RideStatus.ARRIVED,
    RideStep.STARTED: RideStatus.IN_PROGRESS,
    RideStep.COMPLETED: RideStatus.COMPLETED,
    RideStep.CANCELED_BY_RIDER: RideStatus.CANCELED,
    RideStep.CANCELED_BY_ADMIN: RideStatus.CANCELED,
    RideStep.CANCELED_BY_SYSTEM: RideStatus.CANCELED,
    RideStep.NO_SHOW: RideStatus.CANCELED,
    RideStep.UNICORN_LOST: RideStatus.CANCELED,
    RideStep.DEADLINE_PASSED: RideStatus.UNMATCHED,
    RideStep.SET_ASIDE: RideStatus.UNMATCHED,
    RideStep.REPLAYED: RideStatus.REQUESTED,
}

_CANCELING: Final = {
    CanceledBy.RIDER: RideStep.CANCELED_BY_RIDER,
    CanceledBy.ADMIN: RideStep.CANCELED_BY_ADMIN,
    CanceledBy.SYSTEM: RideStep.CANCELED_BY_SYSTEM,
}
_CANCELING_OF_SYSTEM: Final = {
    step.value: step for step in (RideStep.NO_SHOW, RideStep.UNICORN_LOST)
}
"""The step of a ride that the system cancels, by its reason."""


def canceling(by: CanceledBy, reason: str | None) -> RideStep:
    """The step of a ride that is canceled by `by` for `reason`."""
    named = _CANCELING_OF_SYSTEM.get(reason or "") if by is CanceledBy.SYSTEM else None
    return named or _CANCELING[by]


MOST_STEPS: Final = 32
"""The most steps that are kept of one ride, its request included. The oldest ones after the request
are dropped first."""

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Happened:
    """One step. `version`: the ride's version after the step.

    `unicorn_id`: the unicorn that got or lost the ride.
    """

    version: int
    at: datetime
    step: RideStep
    unicorn_id: str | None = None


def with_step(timeline: str | None, requested_at: datetime, happened: Happened) -> str:
    """A timeline with one more line; drops the first line if there are too many.

    A timeline is a text on the ride's own row. It needs no extra write: each transition adds a line
    to the ride, which it writes anyway. Lines are short, because DynamoDB bills a write by the
    kilobyte. Only staff's routes parse them.
    """
    after = (happened.at - requested_at) // _MILLISECOND
    words = [str(happened.version), str(after), happened.step, happened.unicorn_id or ""]
    lines = [*(timeline or "").splitlines(), " ".join(words).rstrip()]
    return "\n".join(lines[-(MOST_STEPS - 1) :])


def steps_of(timeline: str | None, requested_at: datetime) -> Sequence[Happened]:
    """The request and the steps of this timeline, oldest first."""
    first = Happened(1, requested_at, RideStep.REQUESTED)
    return [first, *(_step(line, requested_at) for line in (timeline or "").splitlines())]


def _step(line: str, requested_at: datetime) -> Happened:
    version, after, step, unicorn_id = f"{line} ".split(" ")[:4]
    at = requested_at + int(after) * _MILLISECOND
    return Happened(int(version), at, RideStep(step), unicorn_id or None)
