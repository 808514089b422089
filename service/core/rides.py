"""Use cases of riders: request, show, cancel and rate rides."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.core import effects
from service.core.ports import Stores
from service.core.transition import carry_out, freed
from service.matching.zones import zone_of
from service.model import FIRST_RETRY, CanceledBy, Location, Rating, Ride, RideStatus, Unicorn
from service.model.errors import (
    DispatchPaused,
    IdempotencyKeyReused,
    RideNotFound,
    TooManyActiveRides,
)

RIDE_IDS: Final = uuid.UUID("6f1c7a3e-52f5-4d29-9d0b-0b6f7a1f3a52")
"""Namespace of ride ids made from an idempotency key (RFC 9562, UUIDv5)."""

NEWEST_READ: Final = 100
"""The number of a rider's newest rides that are read to count the open ones."""
OPEN_WITHIN: Final = timedelta(days=1)
"""Only rides requested within this time are counted as open, because each costs a read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RideOrder:
    """A rider's request."""

    rider_id: str
    pickup: Location
    dropoff: Location | None = None
    note: str | None = None
    idempotency_key: str | None = None
    request_id: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest of the parsed body. Two requests with one idempotency key must have the same."""
        places = [p and (p.latitude, p.longitude) for p in (self.pickup, self.dropoff)]
        return hashlib.sha256(json.dumps([*places, self.note]).encode()).hexdigest()


def ride_id_of(rider_id: str, idempotency_key: str) -> str:
    """The id of the ride that this rider requests with this key; a repeat finds it by this id."""
    return str(uuid.uuid5(RIDE_IDS, f"{rider_id}\n{idempotency_key}"))


def request_ride(ports: Stores, order: RideOrder, now: datetime) -> tuple[Ride, bool]:
    """Store a new ride and trigger a round, or find the ride that this idempotency key made before.

    Returns the ride and whether it is a replay. A ride that is stored is not lost: the sweep finds
    its row, even if the trigger is lost. Raises `IdempotencyKeyReused`, `DispatchPaused`,
    `TooManyActiveRides`, `Unavailable`.
    """
    ride = _new_ride(ports, order, now)
    if ports.control.current().is_paused(ride.zone) and not _exists(ports, order):
        raise DispatchPaused("no rides are accepted here at the moment; this one was not stored")
    if ports.rules.max_active_rides:
        _require_room(ports, order, now)
    existing = ports.rides.create(ride)
    if existing is None:
        effects.trigger_rides(ports, [ride])
        return ride, False
    if existing.fingerprint != ride.fingerprint:
        raise IdempotencyKeyReused("this idempotency key was used with another body")
    if existing.status is RideStatus.REQUESTED:
        effects.trigger_rides(ports, [existing])
    return existing, True


def own_ride(ports: Stores, ride_id: str, rider_id: str) -> Ride:
    """The rider's ride. Raises `RideNotFound`, also for another rider's ride."""
    ride = ports.rides.get(ride_id)
    if ride is None or ride.rider_id != rider_id:
        raise RideNotFound("no such ride")
    return ride


def is_settled(ride: Ride) -> bool:
    """Whether the ride has been matched and has not lost its unicorn since, or has ended: the
    answer that a rider waits for."""
    return ride.matched_at is not None or ride.is_terminal


def cancel_ride(
    ports: Stores,
    ride_id: str,
    rider_id: str,
    reason: str | None,
    now: datetime,
    *,
    keep_settled: bool = False,
) -> Ride:
    """Cancel the rider's ride, which is not yet in progress; repeating it changes nothing.

    With `keep_settled`, a ride that has been matched or has ended meanwhile is not changed.
    """
    ride = own_ride(ports, ride_id, rider_id)
    return cancel(ports, ride, CanceledBy.RIDER, reason, now, keep_settled=keep_settled)


def cancel(
    ports: Stores,
    ride: Ride,
    by: CanceledBy,
    reason: str | None,
    now: datetime,
    *,
    keep_settled: bool = False,
) -> Ride:
    """Cancel a ride and free its unicorn; repeating it changes nothing. Raises `NotCancelable`."""

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is RideStatus.CANCELED or (keep_settled and is_settled(ride)):
            return ride, unicorn
        return ride.canceled(by, reason, now), freed(unicorn, ride, now)

    return carry_out(ports, ride, decide, now)


def rate_ride(ports: Stores, ride_id: str, rider_id: str, rating: Rating, now: datetime) -> Ride:
    """Rate a completed ride; a second rating replaces the first."""

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        return (ride if ride.rating == rating else ride.rated(rating)), unicorn

    return carry_out(ports, own_ride(ports, ride_id, rider_id), decide, now)


def _new_ride(ports: Stores, order: RideOrder, now: datetime) -> Ride:
    key = order.idempotency_key
    return Ride(
        ride_id=str(uuid.uuid4()) if key is None else ride_id_of(order.rider_id, key),
        rider_id=order.rider_id,
        pickup=order.pickup,
        dropoff=order.dropoff,
        note=order.note,
        zone=zone_of(order.pickup),
        requested_at=now,
        deadline_at=now + ports.rules.match_within,
        due_at=now + FIRST_RETRY,
        request_id=order.request_id,
        fingerprint=order.fingerprint,
    )


def _exists(ports: Stores, order: RideOrder) -> bool:
    key = order.idempotency_key
    return key is not None and ports.rides.get(ride_id_of(order.rider_id, key)) is not None


def _require_room(ports: Stores, order: RideOrder, now: datetime) -> None:
    """Raise `TooManyActiveRides` if the rider has too many open rides; a replay does not count.

    The listing is eventually consistent, so two requests at the same time may both pass: the limit
    guards against mistakes, not against attacks. A replay is recognised by the ride's row, because
    the listing may lag behind.
    """
    newest = ports.rides.list_of_rider(
        order.rider_id, status=None, limit=NEWEST_READ, start=None, since=now - OPEN_WITHIN
    ).items
    open_rides = sum(not each.is_terminal for each in newest)
    if open_rides >= ports.rules.max_active_rides and not _exists(ports, order):
        raise TooManyActiveRides(f"at most {ports.rules.max_active_rides} open rides are allowed")
