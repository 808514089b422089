"""Claims: the one place where a ride gets its unicorn.

A claim is one transaction on the ride and the unicorn. It succeeds only if neither has a newer
version than the round read. All safety depends on this condition.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from service.core import effects
from service.core.ports import Stores, WriteConflict
from service.model import FleetEntry, Pairing, Ride, RideStatus, Trip
from service.model.errors import DispatchError, Unavailable

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """The result of a claim."""

    CLAIMED = auto()
    LOST = auto()
    """Another write was faster. One side may still be free, so the job runs another round."""
    FAILED = auto()
    """A store failed, or our own code. Another round would not help; the sweep finds the ride."""
    POSTPONED = auto()
    """Not tried, because the job's time was up."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A pairing, with the ride and the unicorn as the round saw them."""

    pairing: Pairing
    ride: Ride
    entry: FleetEntry


def claim(ports: Stores, pair: Claim, now: datetime) -> Outcome:
    """Write both sides or neither, with one call to DynamoDB; then update Redis."""
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
        logger.warning("claim failed", extra={"ride_id": ride.ride_id, "cause": str(error)})
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
    """After a lost claim, correct Redis by what DynamoDB stores."""
    try:
        if lost.unicorn:
            ports.fleet.refresh(lost.unicorn, now)
        if lost.ride and lost.ride.status is RideStatus.REQUESTED:
            ports.waiting.correct(lost.ride)
        elif lost.ride or not lost.unicorn:
            # The ride has ended or is taken, or one of the two is gone. If the ride still waits,
            # the sweep adds it again.
            ports.waiting.discard(ride.zone, [ride.ride_id])
    except Unavailable:
        return Outcome.FAILED
    return Outcome.LOST
