"""Claims: the one place where a ride gets its unicorn.

A claim is one transaction on the ride and the unicorn. It succeeds only if neither has changed
since the round read it. All safety depends on this condition.
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
from service.model import FleetEntry, Location, Pairing, Ride, RideStatus, Trip
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """The result of a claim."""

    CLAIMED = auto()
    LOST = auto()
    """Another write was faster. One side may still be free, so the round pairs again."""
    FAILED = auto()
    """Not written. Pairing again would not help; the sweep finds the ride."""
    POSTPONED = auto()
    """Not tried, because the job's time was up."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A pairing, with the ride and the unicorn as the round saw them."""

    pairing: Pairing
    ride: Ride
    entry: FleetEntry


def with_rider_etas(
    times: ZoneTimes, zone: str, claims: Sequence[Claim], now: datetime
) -> Sequence[Claim]:
    """The claims with the ETAs that riders are told, instead of those that the round decided by."""
    starts = places(c.entry.position.location for c in claims if c.entry.position)
    pickups = places(c.ride.pickup for c in claims)
    factors = times.rider_factors(zone, starts, pickups, now)
    latest = times.latest_factor(zone, Kind.PICKUP)
    return [
        replace(c, pairing=c.pairing.with_eta(c.pairing.pickup_eta_seconds * factor, latest))
        for c, factor in zip(claims, factors.tolist(), strict=True)
    ]


def plans_with_rider_etas(
    times: ZoneTimes,
    plans: Sequence[Pairing],
    rides: Mapping[str, Ride],
    fleet: Mapping[str, FleetEntry],
    now: datetime,
) -> Sequence[Pairing]:
    """The plans with the ETAs that riders are told, instead of those that the round decided by."""
    if not plans:
        return plans
    starts = places(_dropoff(fleet[plan.unicorn_id]) for plan in plans)
    pickups = places(rides[plan.ride_id].pickup for plan in plans)
    zone = rides[plans[0].ride_id].zone
    surplus = times.rider_factors(zone, starts, pickups, now) - 1
    if not surplus.any():
        return plans
    drives, _ = times.base.estimate(starts, pickups)
    latest = times.latest_factor(zone, Kind.PICKUP)
    return [
        plan.with_eta(max(0.0, plan.pickup_eta_seconds + seconds), latest)
        for plan, seconds in zip(plans, (surplus * drives).tolist(), strict=True)
    ]


def _dropoff(entry: FleetEntry) -> Location:
    """Where a planned unicorn starts: the dropoff of its present trip."""
    trip = entry.unicorn.trip
    if trip is None or trip.dropoff is None:
        raise ValueError("a unicorn without a known dropoff cannot be planned")
    return trip.dropoff


def claim(ports: Stores, pair: Claim, now: datetime) -> Outcome:
    """Write both sides or neither, in one remote call. A lost claim costs two more at most."""
    ride, entry = pair.ride, pair.entry
    assert entry.position is not None  # noqa: S101 - only fresh positions are paired
    at = entry.position.location
    try:
        after = ride.claimed(entry.unicorn, at, pair.pairing, now, ports.rules.offer_lasts)
        reserved = entry.unicorn.reserved(ride.ride_id, Trip(ride.pickup, ride.dropoff))
        ports.assignments.commit((ride, after), (entry.unicorn, reserved))
    except WriteConflict as lost:
        return _repair(ports, ride, lost, now)
    except DispatchError as error:
        logger.warning(
            "claim refused by the store", extra={"ride_id": ride.ride_id, "cause": str(error)}
        )
        return Outcome.FAILED
    except Exception:
        # A defect that shows with one ride must not stop the claims of the others.
        logger.exception("claim failed", extra={"ride_id": ride.ride_id})
        return Outcome.FAILED
    effects.after_write(ports, now, ride=after, unicorn=reserved)
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
    """Correct Redis by what is stored, after a lost claim."""
    try:
        if lost.unicorn:
            ports.fleet.refresh(lost.unicorn, now)
        if lost.ride and lost.ride.status is RideStatus.REQUESTED:
            ports.waiting.correct(lost.ride)
        elif lost.ride or not lost.unicorn:
            # The ride has ended, is taken or is gone. If it is open, the sweep adds it again.
            ports.waiting.discard(ride.zone, [ride.ride_id])
    except Unavailable:
        return Outcome.FAILED
    return Outcome.LOST
