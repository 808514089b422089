"""Rides and unicorns for tests; each test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from service.model import (
    AssignedUnicorn,
    CanceledBy,
    Location,
    Pairing,
    Rating,
    Ride,
    RideStatus,
    Trip,
    Unicorn,
    UnicornState,
)

NOW = datetime(2026, 11, 23, 2, 46, 28, 123_000, UTC)
BATTERY_PARK = Location(40.7033, -74.0170)
CENTRAL_PARK = Location(40.7812, -73.9665)


def a_ride(**changes: Any) -> Ride:
    """A ride just requested."""
    fields: dict[str, Any] = {
        "ride_id": "ride-1",
        "rider_id": "rider-1",
        "pickup": BATTERY_PARK,
        "zone": "852a1073fffffff",
        "requested_at": NOW,
        "deadline_at": NOW + timedelta(seconds=180),
        "due_at": NOW + timedelta(seconds=2),
        "request_id": "request-1",
        "fingerprint": "fingerprint-1",
    }
    return Ride(**fields | changes)


def a_unicorn(**changes: Any) -> Unicorn:
    """A unicorn just enrolled: not on duty, no account."""
    fields: dict[str, Any] = {
        "unicorn_id": "u1",
        "name": "Shadowfax",
        "color": "White",
        "gender": "Male",
    }
    return Unicorn(**fields | changes)


def a_usable_unicorn(**changes: Any) -> Unicorn:
    """A unicorn on duty, waiting for a ride."""
    return a_unicorn(**{"state": UnicornState.AVAILABLE, "accepting": True} | changes)


def a_matched_pair(ride: Ride, unicorn: Unicorn) -> tuple[Ride, Unicorn]:
    """What `ride` and the usable `unicorn` become when the one is claimed for the other."""
    pairing = Pairing(ride.ride_id, unicorn.unicorn_id, 240, 1540)
    claimed = ride.claimed(unicorn, CENTRAL_PARK, pairing, NOW, timedelta(seconds=15))
    return claimed, unicorn.reserved(ride.ride_id, Trip(ride.pickup, ride.dropoff))


def a_finished_ride(**changes: Any) -> Ride:
    """A ride with every field set."""
    fields: dict[str, Any] = {
        "due_at": None,
        "status": RideStatus.COMPLETED,
        "version": 6,
        "dropoff": CENTRAL_PARK,
        "note": "by the “fountain”",
        "unicorn": AssignedUnicorn("u1", "Shadowfax", "White", "Male", BATTERY_PARK),
        "pickup_eta_seconds": 240,
        "pickup_eta_latest_seconds": 400,
        "pickup_distance_metres": 1540,
        "offer_expires_at": NOW + timedelta(seconds=16),
        "matched_at": NOW + timedelta(seconds=1),
        "arrived_at": NOW + timedelta(seconds=200),
        "started_at": NOW + timedelta(seconds=260),
        "completed_at": NOW + timedelta(seconds=900),
        "canceled_at": NOW + timedelta(seconds=901),
        "canceled_by": CanceledBy.ADMIN,
        "cancel_reason": "told otherwise",
        "rating": Rating(5, "sparkling"),
        "excluded": frozenset({"u8", "u9"}),
        "missed_by": frozenset({"u7"}),
        "not_coming": frozenset({"u8"}),
        "declined": {"u9": 3},
        "arrived_distance_metres": 40,
        "reached_at": NOW + timedelta(seconds=195),
        "completed_distance_metres": 60,
        "arrive_refused_at": NOW + timedelta(seconds=190),
        "fresh_deadlines": 2,
        "failed_looks": 1,
        "timeline": "2 1000 matched u1\n3 200000 arrived\n4 260000 started\n5 900000 completed",
    }
    return a_ride(**fields | changes)
