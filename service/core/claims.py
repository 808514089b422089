"""Claims: the one place where a ride is won.

A claim is one transaction on the ride and the unicorn, conditional on both being as the round saw
them. All safety rests on it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

from service.core import effects
from service.core.ports import Stores, WriteConflict
from service.core.times import ZoneTimes
from service.matching.correction import Kind
from service.matching.travel import places
from service.model import (
    FleetEntry,
    Location,
    Pairing,
    Ride,
    RideStatus,
    Trip,
)
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a claim."""

    CLAIMED = auto()
    LOST = auto()
    """To somebody faster: the other side is free for another pairing, so pair again."""
    FAILED = auto()
    """Not written; pairing again would not help, the sweep will."""
    POSTPONED = auto()
    """Not tried: the job's time was up."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A pairing with the two values it was decided on."""

    pairing: Pairing
    ride: Ride
    entry: FleetEntry


def told(times: ZoneTimes, zone: str, claims: Sequence[Claim], now: datetime) -> Sequence[Claim]:
    """The same claims with the pickup times that riders are told."""
    starts = places(c.entry.position.location for c in claims if c.entry.position)
    pickups = places(c.ride.pickup for c in claims)
    factors = times.told_of_decided(zone, starts, pickups, now)
    latest = times.latest_factor(zone, Kind.PICKUP)
    return [
        replace(c, pairing=c.pairing.retold(c.pairing.pickup_eta_seconds * factor, latest))
        for c, factor in zip(claims, factors.tolist(), strict=True)
    ]


def told_plans(
    times: ZoneTimes,
    plans: Sequence[Pairing],
    rides: Mapping[str, Ride],
    fleet: Mapping[str, FleetEntry],
    now: datetime,
) -> Sequence[Pairing]:
    """The same plans with the pickup times that riders are told: their drives are corrected."""
    if not plans:
        return plans
    starts = places(_dropoff(fleet[plan.unicorn_id]) for plan in plans)
    pickups = places(rides[plan.ride_id].pickup for plan in plans)
    zone = rides[plans[0].ride_id].zone
    more = times.told_of_decided(zone, starts, pickups, now) - 1
    if not more.any():
        return plans
    drives, _ = times.base.estimate(starts, pickups)
    latest = times.latest_factor(zone, Kind.PICKUP)
    return [
        plan.retold(max(0.0, plan.pickup_eta_seconds + seconds), latest)
        for plan, seconds in zip(plans, (more * drives).tolist(), strict=True)
    ]


def _dropoff(entry: FleetEntry) -> Location:
    """Where a planned unicorn sets out from."""
    trip = entry.unicorn.trip
    if trip is None or trip.dropoff is None:
        raise ValueError("a unicorn without a known dropoff cannot be planned")
    return trip.dropoff


def claim(ports: Stores, claim: Claim, now: datetime) -> Outcome:
    """Take both sides or neither, in one call of the store."""
    ride, entry = claim.ride, claim.entry
    assert entry.position is not None  # noqa: S101 - only fresh positions are paired
    at = entry.position.location
    try:
        after = ride.claimed(entry.unicorn, at, claim.pairing, now, ports.rules.offer)
        reserved = entry.unicorn.reserved(ride.ride_id, Trip(ride.pickup, ride.dropoff))
        ports.assignments.commit((ride, after), (entry.unicorn, reserved))
    except WriteConflict as lost:
        return _repair(ports, ride, lost, now)
    except DispatchError as error:
        logger.warning("claim not written", extra={"ride_id": ride.ride_id, "cause": str(error)})
        return Outcome.FAILED
    except Exception:
        # A defect that one ride brings to light must not cost the others of the round.
        logger.exception("claim failed", extra={"ride_id": ride.ride_id})
        return Outcome.FAILED
    effects.tell(ports, now, ride=after, unicorn=reserved)
    logger.info(
        "ride %s",
        after.status,
        extra={
            "ride_id": ride.ride_id,
            "unicorn_id": entry.unicorn.unicorn_id,
            "request_id": ride.request_id,
            "waited_seconds": (now - ride.requested_at).total_seconds(),
        },
    )
    return Outcome.CLAIMED


def _repair(ports: Stores, ride: Ride, lost: WriteConflict, now: datetime) -> Outcome:
    """Correct what this process believed by what is stored."""
    try:
        if lost.unicorn:
            ports.fleet.refresh(lost.unicorn, now)
        if lost.ride and lost.ride.status is RideStatus.REQUESTED:
            ports.waiting.correct(lost.ride)
        elif lost.ride or not lost.unicorn:
            # Ended, taken, or not there at all; were it open, the sweep would add it again.
            ports.waiting.discard(ride.zone, [ride.ride_id])
    except Unavailable:
        return Outcome.FAILED
    return Outcome.LOST
