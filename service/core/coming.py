"""Judges whether a ride keeps its unicorn: does it come, and is its silence an outage?"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from service.core.ports import Hints, Stores, WriteConflict
from service.matching.correction import Kind
from service.matching.travel import TravelTimes, places
from service.matching.zones import zone_of
from service.model import LIVENESS_CHECK, Location, Position, Presence, Ride, RideStatus, Unicorn
from service.model.presence import OUTAGE_LASTS, TRAIL_PLACES

logger = logging.getLogger(__name__)

UNPLACED_AFTER: Final = timedelta(seconds=180)
"""A driver who calls but reports no position for this long may lose the ride."""

COMPARED: Final = 8
"""At least so many of the free unicorns nearest to the pickup are compared."""

SLACK_SECONDS: Final = 180.0
"""The time left may be this much longer than the time told, however short that is, because of
traffic and detours."""

BETTER_SECONDS: Final = 120.0
"""Another unicorn must save at least this much time, because the change costs the rider's trust and
a unicorn's drive."""

TAKEN_BACK_SHARE: Final = 0.05
"""The largest share of the rides with a unicorn that are taken back in one minute. Beyond it the
model, a map or the phones are probably wrong, and not the unicorns."""

OUTAGE_MESSAGE: Final = "silent unicorn keeps its ride: many fell silent together"


class Verdict(StrEnum):
    """The judgement about a ride's unicorn."""

    COMING = "coming"
    NOT_COMING = "not_coming"
    """The unicorn does not come but keeps the ride: no free one is better, or too many were taken
    back lately."""
    TAKE_BACK = "take_back"


def assess(ports: Stores, ride: Ride, seen: Presence, now: datetime) -> Verdict:
    """Whether the unicorn of a matched ride is coming and, if not, whether it loses the ride.

    `seen`: the unicorn's presence. Calls Redis only if the unicorn is not coming.
    Raises `Unavailable`.
    """
    if ride.status is not RideStatus.MATCHED:
        return Verdict.COMING
    left = _left(ports, ride, seen, now)
    if left is None:
        return Verdict.COMING
    if not _is_another_better(ports, ride, left, now):
        return Verdict.NOT_COMING
    unicorn_id = ride.unicorn_id or ""
    allowed = ports.fleet.may_take_back(ride.ride_id, unicorn_id, now)
    logger.warning(
        "ride taken back: its unicorn is not coming"
        if allowed
        else "ride not taken back: too many unicorns are not coming",
        extra={
            "ride_id": ride.ride_id,
            "unicorn_id": unicorn_id,
            "told_seconds": ride.pickup_eta_seconds,
            "left_seconds": None if math.isinf(left) else round(left),
        },
    )
    return Verdict.TAKE_BACK if allowed else Verdict.NOT_COMING


def is_not_coming(
    told: float, left: float, left_on_the_way: Sequence[float], *, was_not_coming: bool = False
) -> bool:
    """Whether far more time is left than the rider was told, and the unicorn drove away.

    `left`: the seconds that it needs from its present place. `left_on_the_way`: those that it
    needed from its last places, oldest first. `was_not_coming`: whether it was judged as not coming
    before. If so, it counts as not coming until its remaining time is within the limit.
    """
    last = left_on_the_way[-TRAIL_PLACES:]
    farther_each_time = all(before < after for before, after in pairwise(last))
    drove_away = len(last) == TRAIL_PLACES and farther_each_time
    return left - told > max(told, SLACK_SECONDS) and (was_not_coming or drove_away)


def is_better(other: float, left: float) -> bool:
    """Whether a unicorn that needs `other` seconds saves at least `BETTER_SECONDS`.

    `left`: the remaining seconds of the present one; infinite if its position is unknown.
    """
    return other <= left - BETTER_SECONDS


def most_taken_back(assigned: int) -> int:
    """The rides that may be taken back in a minute if `assigned` have a unicorn; at least one."""
    return max(1, int(TAKEN_BACK_SHARE * assigned))


def may_not_come(ports: Stores, unicorn: Unicorn | None, seen: Presence, now: datetime) -> bool:
    """Whether `assess` could find that a reserved unicorn does not come.

    Makes no call except for travel times, because the unicorn's fleet entry has the pickup.
    """
    if seen.unplaced > UNPLACED_AFTER:
        return True
    if unicorn is None or unicorn.trip is None or seen.position is None:
        return False
    pickup = unicorn.trip.pickup
    travel = ports.times.for_riders(zone_of(pickup), Kind.PICKUP, now)
    *way, left = _seconds(travel, [*seen.trail, seen.position], pickup)
    # Assumes the lowest ETA that the rider can have been told (0 s). So the check misses no
    # unicorn that has turned away since the last look, but may name too many.
    return is_not_coming(0, left, way)


def due_again(
    ports: Stores, ride: Ride, verdict: Verdict, now: datetime, check: datetime
) -> datetime | None:
    """When a ride that keeps its unicorn is due again: at `check`, or sooner if it does not come.

    If the verdict has changed, stores it and this instant in one write, and returns None. Only
    staff sees the verdict. Raises `Unavailable`.
    """
    is_coming, unicorn = verdict is Verdict.COMING, {ride.unicorn_id or ""}
    due_at = check if is_coming else min(check, now + LIVENESS_CHECK)
    not_coming = ride.not_coming - unicorn if is_coming else ride.not_coming | unicorn
    if not_coming == ride.not_coming:
        return due_at
    # After a conflict the ride stays due, or the other write has set when it is.
    with suppress(WriteConflict):
        ports.rides.save(ride, replace(ride, not_coming=not_coming, due_at=due_at))
    return None


def _left(ports: Stores, ride: Ride, seen: Presence, now: datetime) -> float | None:
    """The seconds that the unicorn still needs if it is not coming; None if it is coming.

    Infinite if it has reported no position for too long.
    """
    since = ride.matched_at or now
    if min(seen.unplaced, now - since) > UNPLACED_AFTER:
        return math.inf
    if seen.position is None:
        return None
    way = [each for each in seen.trail if each.recorded_at >= since]
    travel = ports.times.for_riders(ride.zone, Kind.PICKUP, now)
    left = _seconds(travel, [*way, seen.position], ride.pickup)
    eta, was_not_coming = ride.pickup_eta_seconds or 0, ride.attention is not None
    return (
        left[-1] if is_not_coming(eta, left[-1], left[:-1], was_not_coming=was_not_coming) else None
    )


def _is_another_better(ports: Stores, ride: Ride, left: float, now: datetime) -> bool:
    """Whether a free unicorn that a round may pair with the ride would arrive much sooner."""
    if ports.control.current().is_paused(ride.zone):
        return False
    never = ride.excluded | ride.missed_by
    found = ports.fleet.near(
        [ride.pickup],
        reach_metres=ports.rules.reach_metres,
        per_place=COMPARED + len(never),
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
    for_riders = _seconds(ports.times.for_riders(ride.zone, Kind.PICKUP, now), others, ride.pickup)
    decided = _seconds(ports.times.for_pairing(ride.zone, now), others, ride.pickup)
    cap = ports.rules.max_pickup_eta.total_seconds()
    return any(
        is_better(seconds, left)
        for seconds, decided_seconds in zip(for_riders, decided, strict=True)
        if decided_seconds <= cap
    )


def _seconds(travel: TravelTimes, starts: Sequence[Position], pickup: Location) -> list[float]:
    origins, destinations = places(at.location for at in starts), places([pickup] * len(starts))
    seconds, _ = travel.estimate(origins, destinations)
    return [float(each) for each in seconds]


def is_outage(ports: Hints, ride: Ride, late: timedelta, now: datetime) -> bool:
    """Whether the ride's silent unicorn fell silent together with a large part of the fleet.

    If so, something between unicorns and API failed unnoticed, and the unicorn keeps its ride for
    a limited time. `late`: how much longer than allowed the unicorn has been silent. Two remote
    calls, so call it only for a unicorn that is late. Raises `Unavailable`.
    """
    if late > OUTAGE_LASTS * ports.rules.stale_after:
        return False
    found = ports.fleet.silent_together(ride.unicorn_id or "", now)
    if found.is_outage:
        logger.error(
            OUTAGE_MESSAGE,
            extra={
                "ride_id": ride.ride_id,
                "unicorn_id": ride.unicorn_id,
                "silent": found.silent,
                "assigned": found.assigned,
            },
        )
    return found.is_outage
