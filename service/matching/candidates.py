"""Finds the unicorns that could take a ride, with the place and time from which each can start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from service.matching.remaining import RemainingTime
from service.matching.travel import FloatArray, TravelTimes, places
from service.model import FleetEntry, Location


@dataclass(frozen=True, slots=True)
class Candidates:
    """Arrays with one entry per unicorn: the available ones first, then those soon to be free."""

    unicorn_ids: tuple[str, ...]
    places: FloatArray
    """The place from which each can start: (latitude, longitude)."""
    ready_in: FloatArray
    """Seconds until each can start; 0 for the available ones."""
    idle: FloatArray
    """Seconds that each has waited for a ride; 0 for the busy ones."""
    available: int
    """The number of unicorns that are available now."""


@dataclass(frozen=True, slots=True)
class _Busy:
    """A unicorn with a ride. It is driving from `start` to `pickup`.

    If it has left the pickup, `start` is the pickup.
    """

    unicorn_id: str
    start: Location
    pickup: Location
    dropoff: Location
    started_at: datetime | None


def gather(
    fleet: Iterable[FleetEntry],
    now: datetime,
    plan_seconds: float,
    travel: TravelTimes,
    remaining: RemainingTime,
    trips: TravelTimes,
) -> Candidates:
    """The unicorns that are available, or should be available within `plan_seconds`.

    Both kinds are sorted by id, so that the order of `fleet` does not matter.
    """
    heard = {entry.unicorn.unicorn_id: entry for entry in fleet if entry.position}
    entries = [heard[unicorn_id] for unicorn_id in sorted(heard)]
    free = [entry for entry in entries if entry.unicorn.can_take_a_ride]
    busy, ready_in = _soon_free(entries, now, plan_seconds, travel, remaining, trips)
    starts = [entry.position.location for entry in free if entry.position]
    return Candidates(
        unicorn_ids=(*(e.unicorn.unicorn_id for e in free), *(b.unicorn_id for b in busy)),
        places=places([*starts, *(b.dropoff for b in busy)]),
        ready_in=np.concatenate([np.zeros(len(free)), ready_in]),
        idle=np.array(
            [*(_seconds_since(e.unicorn.idle_since, now) for e in free), *(0.0 for _ in busy)]
        ),
        available=len(free),
    )


def _soon_free(
    entries: Sequence[FleetEntry],
    now: datetime,
    plan_seconds: float,
    travel: TravelTimes,
    remaining: RemainingTime,
    trips: TravelTimes,
) -> tuple[Sequence[_Busy], FloatArray]:
    busy = [unicorn for unicorn in map(_busy, entries) if unicorn] if plan_seconds > 0 else []
    if not busy:
        return busy, np.empty(0)
    pickups, dropoffs = (places(getattr(b, end) for b in busy) for end in ("pickup", "dropoff"))
    whole, _ = trips.estimate(pickups, dropoffs)
    elapsed = np.array([_seconds_since(b.started_at, now) for b in busy])
    left = remaining.seconds(whole, elapsed)
    # The drive to the pickup only adds time, so it is estimated only if the trip is short enough.
    rows = np.flatnonzero(left <= plan_seconds)
    approaches, _ = travel.estimate(places(busy[row].start for row in rows), pickups[rows])
    ready_in = approaches + left[rows]
    soon = ready_in <= plan_seconds
    return [busy[row] for row in rows[soon]], ready_in[soon]


def _busy(entry: FleetEntry) -> _Busy | None:
    """The busy unicorn; None if it accepts no further rides or the end of its trip is unknown."""
    trip, unicorn, position = entry.unicorn.trip, entry.unicorn, entry.position
    if trip is None or trip.dropoff is None or position is None or not unicorn.accepting:
        return None
    start = trip.pickup if trip.started_at else position.location
    return _Busy(unicorn.unicorn_id, start, trip.pickup, trip.dropoff, trip.started_at)


def _seconds_since(instant: datetime | None, now: datetime) -> float:
    return max(0.0, (now - instant).total_seconds()) if instant else 0.0
