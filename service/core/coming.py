"""Watches whether the unicorn of a matched ride is coming, and who could come instead."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.core.ports import Stores, WriteConflict
from service.matching import coming
from service.matching.correction import Kind
from service.matching.travel import TravelTimes, places
from service.model import LIVENESS_CHECK, Location, Position, Presence, Ride, RideStatus

logger = logging.getLogger(__name__)

UNPLACED_AFTER: Final = timedelta(seconds=180)
"""Whoever says nothing of its place for so long does not keep a rider waiting by its calls."""

LOOKED_AT: Final = 8
"""Free unicorns nearest to the pickup that are compared, besides those that never get the ride."""


class Verdict(StrEnum):
    """What is to be done about a ride."""

    COMING = "coming"
    NOT_COMING = "not_coming"
    """It stays with its unicorn: nobody free is better, or too many were taken back lately."""
    TAKE_BACK = "take_back"


def judge(ports: Stores, ride: Ride, seen: Presence, now: datetime) -> Verdict:
    """Whether the ride's unicorn is coming and, if not, whether to take the ride from it.

    Only of a ride that is matched. `seen`: what is known of its unicorn. Asks Redis for others
    only if the unicorn is not coming. Raises `Unavailable`.
    """
    if ride.status is not RideStatus.MATCHED:
        return Verdict.COMING
    left = _left(ports, ride, seen, now)
    if left is None:
        return Verdict.COMING
    if not _is_somebody_better(ports, ride, left, now):
        return Verdict.NOT_COMING
    unicorn_id = ride.unicorn_id or ""
    allowed = ports.fleet.may_take_back(ride.ride_id, unicorn_id, now)
    logger.warning(
        "unicorn is not coming" if allowed else "too many unicorns are not coming",
        extra={
            "ride_id": ride.ride_id,
            "unicorn_id": unicorn_id,
            "told_seconds": ride.pickup_eta_seconds,
            "left_seconds": None if math.isinf(left) else round(left),
        },
    )
    return Verdict.TAKE_BACK if allowed else Verdict.NOT_COMING


def look_again(
    ports: Stores, ride: Ride, verdict: Verdict, now: datetime, check: datetime
) -> datetime | None:
    """When to look again at a ride that stays with its unicorn, sooner if that does not come.

    None where that is noted, together with whether the unicorn comes: for staff, clients see
    nothing of it. Raises `Unavailable`.
    """
    is_coming, unicorn = verdict is Verdict.COMING, {ride.unicorn_id or ""}
    due_at = check if is_coming else min(check, now + LIVENESS_CHECK)
    not_coming = ride.not_coming - unicorn if is_coming else ride.not_coming | unicorn
    if not_coming == ride.not_coming:
        return due_at
    # Whoever changed the ride meanwhile has set when it is looked at next.
    with suppress(WriteConflict):
        ports.rides.save(ride, replace(ride, not_coming=not_coming, due_at=due_at))
    return None


def _left(ports: Stores, ride: Ride, seen: Presence, now: datetime) -> float | None:
    """How many seconds the unicorn still needs if it is not coming, else none.

    Infinite if it has not said for too long where it is.
    """
    since = ride.matched_at or now
    if min(seen.unplaced, now - since) > UNPLACED_AFTER:
        return math.inf
    if seen.position is None:
        return None
    way = [each for each in seen.trail if each.recorded_at >= since]
    travel = ports.times.telling(ride.zone, Kind.PICKUP, now)
    left = _seconds(travel, [*way, seen.position], ride.pickup)
    told, known = ride.pickup_eta_seconds or 0, ride.attention is not None
    return left[-1] if coming.is_not_coming(told, left[-1], left[:-1], known=known) else None


def _is_somebody_better(ports: Stores, ride: Ride, left: float, now: datetime) -> bool:
    """Whether a free unicorn within the cap, which a round may pair with the ride, is better."""
    if ports.pauses.current().covers(ride.zone):
        return False
    never = ride.excluded | ride.missed_by
    found = ports.fleet.near(
        [ride.pickup],
        reach_metres=ports.rules.reach_metres,
        per_place=LOOKED_AT + len(never),
        now=now,
    )
    others = [
        entry.position
        for entry in found.entries
        if entry.position
        and entry.unicorn.can_take_a_ride
        and entry.unicorn.unicorn_id not in never
    ]
    if not others:
        return False
    told = _seconds(ports.times.telling(ride.zone, Kind.PICKUP, now), others, ride.pickup)
    decided = _seconds(ports.times.deciding(ride.zone, now), others, ride.pickup)
    cap = ports.rules.max_pickup_eta.total_seconds()
    return any(
        coming.is_better(seconds, left)
        for seconds, by_rounds in zip(told, decided, strict=True)
        if by_rounds <= cap
    )


def _seconds(travel: TravelTimes, starts: Sequence[Position], pickup: Location) -> list[float]:
    origins, destinations = places(at.location for at in starts), places([pickup] * len(starts))
    seconds, _ = travel.estimate(origins, destinations)
    return [float(each) for each in seconds]
