"""What a rider may expect before asking for a ride; nobody is promised anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from service.core.ports import Ports
from service.matching.travel import GreatCircle, places
from service.model import FleetEntry, Location

MOST_SHOWN: Final = 20
"""Available unicorns that are looked at around a place."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a ride that would be requested now; none where it cannot be told."""

    pickup_eta_seconds: int | None
    trip_seconds: int | None
    trip_metres: int | None
    available_nearby: int
    """Available unicorns that could be at the pickup in time, counted up to `MOST_SHOWN`."""


def estimate(ports: Ports, pickup: Location, dropoff: Location | None, now: datetime) -> Estimate:
    """What the dispatcher would expect of a ride from here, if nobody else wanted one.

    Raises `Unavailable`.
    """
    starts = [at for _, at in _available(ports, pickup, now)]
    etas, _ = ports.travel.estimate(places(starts), places([pickup] * len(starts)))
    in_time = etas[etas <= ports.rules.max_pickup_eta.total_seconds()]
    trip_seconds = trip_metres = None
    if dropoff:
        seconds, metres = ports.travel.estimate(places([pickup]), places([dropoff]))
        trip_seconds, trip_metres = round(seconds[0]), round(metres[0])
    first = round(np.min(in_time)) if len(in_time) else None
    return Estimate(first, trip_seconds, trip_metres, len(in_time))


def nearby(ports: Ports, place: Location, now: datetime) -> Sequence[FleetEntry]:
    """Available unicorns within reach, nearest first, at most `MOST_SHOWN`. Raises `Unavailable`"""
    return [entry for entry, _ in _available(ports, place, now)]


def _available(
    ports: Ports, place: Location, now: datetime
) -> Sequence[tuple[FleetEntry, Location]]:
    reach = ports.rules.reach_metres
    found = ports.fleet.near([place], reach_metres=reach, per_place=MOST_SHOWN, now=now)
    by_distance = sorted(
        (GreatCircle().crow_metres(entry.position.location, place), entry.unicorn.unicorn_id, entry)
        for entry in found.entries
        if entry.position and entry.unicorn.can_take_a_ride
    )
    return [
        (entry, entry.position.location)
        for metres, _, entry in by_distance[:MOST_SHOWN]
        if entry.position and metres <= reach
    ]
