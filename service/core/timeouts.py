"""Timeouts: all that happens to a ride because time has passed, by a function for each status.

- `requested`: the deadline passes without a unicorn (`_check_deadline`).
- `offered`: the offer expires without an answer (`_expire_offer`).
- `matched`, `arrived`: the rider does not show up, or the unicorn falls silent or does not come
  (`_check_pickup`).
- `in_progress`: the unicorn is silent for so long that the trip counts as lost (`_check_trip`).

The sweep calls `handle_due` for each ride that is due, and for those that a patrol doubts: it takes
a step, or returns the next due time. Every step is a conditional write.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from service.core import coming, effects
from service.core.ports import Stores
from service.core.reconcile import mend
from service.core.transition import carry_out
from service.matching.correction import Kind
from service.matching.travel import seconds_between
from service.model import (
    LEFT_TO_PATROLS,
    LIVENESS_CHECK,
    CanceledBy,
    Ride,
    RideStatus,
    RideStep,
    Unicorn,
)
from service.model.errors import Unavailable

RETRY_EVERY: Final = timedelta(seconds=4)
"""How often the sweep triggers a waiting ride again. If a trigger is lost, the ride waits for at
most this long, and then until the next sweep (1 s)."""

TRIP_LOST_AFTER: Final = timedelta(minutes=30)
"""A ride in progress is lost if its unicorn is silent for this long, or for three times the
estimated trip if that is longer."""

CHECK_MARGIN: Final = timedelta(seconds=1)
"""Added to a liveness check's due time, so that the check runs just after the silence of the
unicorn reached its limit."""


def handle_due(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    """Take the step that is due. Returns the next due time, which a sweep stores and a patrol does
    not.

    None if nothing is left to store: the step has stored it, another write has changed the ride, or
    the ride is not due yet.
    Raises `Unavailable`.
    """
    return _HANDLE[ride.status](ports, ride, now)


def _check_deadline(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    """End the ride if its deadline has passed; otherwise trigger it again.

    A plan keeps a ride open for a limited time after its deadline.
    """
    end = ports.rules.ends_at(ride, planned=_has_plan(ports, ride))
    if now >= end:
        _apply(ports, ride, now, lambda stored: stored.unmatched(now))
    elif ports.rides.postpone(ride, min(now + RETRY_EVERY, end)):
        effects.trigger_rides(ports, [ride])
    return None


def _expire_offer(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    """If the offer has expired, take the ride from the unicorn and request it again."""
    ends_at = ride.offer_ends_at
    if ends_at is None or now < ends_at:
        return None
    offered_at, most = ends_at - ports.rules.offer_lasts, ports.rules.offers_missed_max
    counts = _could_answer(ports, ride, offered_at, now)
    _apply(
        ports,
        ride,
        now,
        lambda stored: stored.offer_missed(now, ports.rules.match_within),
        lambda unicorn: unicorn.offer_missed(ride.ride_id, now, counts=counts, most=most),
    )
    return None


def _could_answer(ports: Stores, ride: Ride, offered_at: datetime, now: datetime) -> bool:
    """Whether the driver called during the offer, and every API process could accept the calls."""
    try:
        return ports.fleet.could_answer(ride.unicorn_id or "", offered_at, now)
    except Unavailable:
        return False


def _check_pickup(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    """Cancel a no-show; take the ride from a unicorn that is silent or does not come."""
    if ride.arrived_at and now >= ride.arrived_at + ports.rules.no_show_after:
        _apply(ports, ride, now, lambda r: r.canceled(CanceledBy.SYSTEM, "no_show", now))
        return None
    if _mend_if_needed(ports, ride, now):
        return None
    seen = ports.fleet.presence(ride.unicorn_id or "", now)
    late, within = seen.silence - ports.rules.stale_after, ports.rules.match_within
    if late > timedelta() and coming.is_outage(ports, ride, late, now):
        return now + LIVENESS_CHECK
    if late > timedelta():
        why = RideStep.FELL_SILENT
        _apply(ports, ride, now, lambda r: r.returned(now, within, why), silent=True)
        return None
    verdict = coming.assess(ports, ride, seen, now)
    if verdict is coming.Verdict.TAKE_BACK:
        _apply(ports, ride, now, lambda r: r.not_come_to(now, within))
        return None
    check = now + LEFT_TO_PATROLS
    show = ride.arrived_at + ports.rules.no_show_after if ride.arrived_at else check
    return coming.due_again(ports, ride, verdict, now, min(check, show))


def _check_trip(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    """Cancel a ride whose unicorn is silent for too long with the rider aboard."""
    if _mend_if_needed(ports, ride, now):
        return None
    silent = ports.fleet.presence(ride.unicorn_id or "", now).silence
    late = silent - max(TRIP_LOST_AFTER, 3 * _trip_estimate(ports, ride, now))
    if late <= timedelta():
        return _next_check(now, late)
    if coming.is_outage(ports, ride, late, now):
        return now + LIVENESS_CHECK
    lost = "unicorn_lost"
    _apply(ports, ride, now, lambda r: r.canceled(CanceledBy.SYSTEM, lost, now), silent=True)
    return None


_HANDLE: Final[dict[RideStatus, Callable[[Stores, Ride, datetime], datetime | None]]] = {
    RideStatus.REQUESTED: _check_deadline,
    RideStatus.OFFERED: _expire_offer,
    RideStatus.MATCHED: _check_pickup,
    RideStatus.ARRIVED: _check_pickup,
    RideStatus.IN_PROGRESS: _check_trip,
}


def _mend_if_needed(ports: Stores, ride: Ride, now: datetime) -> bool:
    """Repair the pair if ride and unicorn contradict each other; True if it was repaired.

    Reads both rows only if the fleet index has the unicorn on another ride, or on none.
    """
    unicorn_id = ride.unicorn_id or ""
    entry = ports.fleet.entries([unicorn_id], now).get(unicorn_id)
    if entry is None or entry.unicorn.ride_id == ride.ride_id:
        return False
    return mend(ports, ride.ride_id, unicorn_id, now) is not None


def _apply(
    ports: Stores,
    seen: Ride,
    now: datetime,
    step: Callable[[Ride], Ride],
    release: Callable[[Unicorn], Unicorn] | None = None,
    *,
    silent: bool = False,
) -> None:
    """Take the step and free the unicorn, if the ride still has the version that the sweep saw."""

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.version != seen.version:
            return ride, unicorn
        if unicorn is None:
            return step(ride), None
        if release:
            return step(ride), release(unicorn)
        return step(ride), unicorn.released(ride.ride_id, now, keep_accepting=not silent)

    carry_out(ports, seen, decide, now)


def _has_plan(ports: Stores, ride: Ride) -> bool:
    try:
        return ports.waiting.plan_of(ride.zone, ride.ride_id) is not None
    except Unavailable:
        # Plans are kept in Redis only: without Redis there is none.
        return False


def _next_check(now: datetime, late: timedelta) -> datetime:
    """The time of the next liveness check: just after the silence can first exceed its limit.

    `late`: how much longer than allowed the unicorn has been silent; negative here. An earlier
    check cannot find anything, and each check costs two writes (row and index).
    """
    return now - late + CHECK_MARGIN


def _trip_estimate(ports: Stores, ride: Ride, now: datetime) -> timedelta:
    if ride.dropoff is None:
        return timedelta()
    travel = ports.times.for_riders(ride.zone, Kind.TRIP, now)
    return timedelta(seconds=seconds_between(travel, ride.pickup, ride.dropoff))
