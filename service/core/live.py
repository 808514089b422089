"""Where a ride's unicorn is, and how soon it should come: what changes without a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.core.ports import Ports
from service.matching.travel import GreatCircle
from service.model import Position, Ride, RideStatus
from service.model.errors import Unavailable

SHOWS_UNICORN: Final = frozenset({RideStatus.MATCHED, RideStatus.ARRIVED, RideStatus.IN_PROGRESS})


@dataclass(frozen=True, slots=True)
class LiveView:
    """What changes about a ride without a new version."""

    status: RideStatus
    version: int
    position: Position | None
    pickup_eta_seconds: int | None
    planned_pickup_eta_seconds: int | None


def live_view(ports: Ports, ride: Ride, now: datetime) -> LiveView:
    """Where the ride's unicorn is and when it should be at the pickup, as last heard.

    Redis being away makes these unknown, never an error.
    """
    position: Position | None = None
    planned: int | None = None
    try:
        if ride.status is RideStatus.REQUESTED:
            plan = ports.waiting.plan_of(ride.zone, ride.ride_id)
            planned = plan.pickup_eta_seconds if plan else None
        elif ride.status in SHOWS_UNICORN and ride.unicorn:
            position = ports.fleet.position(ride.unicorn.unicorn_id, now)
    except Unavailable:
        pass
    return LiveView(ride.status, ride.version, position, _pickup_eta(ride, position), planned)


def _pickup_eta(ride: Ride, position: Position | None) -> int | None:
    if ride.status is RideStatus.ARRIVED:
        return 0
    if ride.status is not RideStatus.MATCHED or position is None:
        return None
    return GreatCircle().seconds_between(position.location, ride.pickup)
