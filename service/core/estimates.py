"""Estimates for a rider before a ride is requested; they promise nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from service.core.ports import Hints
from service.matching.correction import Kind
from service.matching.travel import GreatCircle, places
from service.matching.zones import zone_of
from service.model import Location, Unicorn

MOST_SHOWN: Final = 20
"""The most available unicorns that are shown around a place."""

MOST_READ: Final = 3 * MOST_SHOWN
"""The most unicorns that are read from the index: more than are shown, because the index sorts by
exact distance. If it returned exactly the number shown, the last one would reveal an exact
distance."""

DECIMALS: Final = 3
"""How many decimals of a degree a shown position has: three (about 100 m), so that nobody can
follow a unicorn home."""

BLUR_METRES: Final = 80.0
"""The greatest distance between a place and its rounded form."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for a ride requested now; a field is None if it is unknown."""

    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    """The time within which nine of ten unicorns arrive."""
    trip_seconds: int | None
    trip_latest_seconds: int | None
    """The time within which nine of ten trips end."""
    trip_metres: int | None
    available_nearby: int
    """Available unicorns that could be at the pickup in time, counted up to `MOST_SHOWN`."""


def estimate(ports: Hints, pickup: Location, dropoff: Location | None, now: datetime) -> Estimate:
    """The estimate for a ride from `pickup`, as if no other ride were waiting.

    Raises `Unavailable`.
    """
    starts = [at for _, at in nearby(ports, pickup, now)]
    origins, destinations = places(starts), places([pickup] * len(starts))
    zone = zone_of(pickup)
    decided, _ = ports.times.for_pairing(zone, now).estimate(origins, destinations)
    etas = decided * ports.times.rider_factors(zone, origins, destinations, now)
    etas = etas[decided <= ports.rules.max_pickup_eta.total_seconds()]
    soonest = float(np.min(etas)) if len(etas) else None
    trip = metres = None
    if dropoff:
        travel = ports.times.for_riders(zone, Kind.TRIP, now)
        seconds, lengths = travel.estimate(places([pickup]), places([dropoff]))
        trip, metres = float(seconds[0]), float(lengths[0])
    return Estimate(
        pickup_eta_seconds=_whole(soonest),
        pickup_eta_latest_seconds=_whole(soonest, ports.times.latest_factor(zone, Kind.PICKUP)),
        trip_seconds=_whole(trip),
        trip_latest_seconds=_whole(trip, ports.times.latest_factor(zone, Kind.TRIP)),
        trip_metres=_whole(metres),
        available_nearby=len(etas),
    )


def _whole(value: float | None, factor: float = 1.0) -> int | None:
    return None if value is None else round(value * factor)


def nearby(ports: Hints, place: Location, now: datetime) -> Sequence[tuple[Unicorn, Location]]:
    """Available unicorns within reach at rounded places, nearest first, at most `MOST_SHOWN`.

    Everything is computed from the rounded places. Exact distances, an exact order or counts at an
    exact limit would let a client locate a unicorn by asking from many places. Raises
    `Unavailable`.
    """
    reach = ports.rules.reach_metres
    found = ports.fleet.near(
        [place], reach_metres=reach + BLUR_METRES, per_place=MOST_READ, now=now
    )
    roughly = [
        (entry.unicorn, entry.position.location.blurred(DECIMALS))
        for entry in found.entries
        if entry.position and entry.unicorn.can_take_a_ride
    ]
    by_distance = sorted(
        (GreatCircle().crow_metres(at, place), unicorn.unicorn_id, unicorn, at)
        for unicorn, at in roughly
    )
    return [(unicorn, at) for metres, _, unicorn, at in by_distance if metres <= reach][:MOST_SHOWN]
