"""Who could take a ride, from where and from when on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.dispatch.remaining import RemainingTime
from service.core.dispatch.travel import FloatArray, TravelTimes, places
from service.core.model import FleetEntry, Location, Trip

LONGEST_IDLE_SECONDS: Final = 3600.0
"""Idle for longer counts as this long, so that nobody crosses the city for being idle."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Columns over the same unicorns: the available ones first, then those soon to be free."""

    unicorn_ids: tuple[str, ...]
    places: FloatArray
    """Where each will be free: (latitude, longitude)."""
    ready_in: FloatArray
    """Seconds until then; 0 for the available ones."""
    idle: FloatArray
    """Seconds without a ride so far; 0 for the busy ones."""
    available: int
    """How many are available now."""


@dataclass(frozen=True, slots=True)
class _Busy:
    unicorn_id: str
    at: Location
    trip: Trip
    dropoff: Location


def gather(
    fleet: Iterable[FleetEntry],
    now: datetime,
    plan_seconds: float,
    travel: TravelTimes,
    remaining: RemainingTime,
) -> Candidates:
    """Unicorns that are available, or should be within `plan_seconds`; the rest cannot help.

    A busy unicorn counts only if it goes on accepting and it is known where its trip will end.
    In the order of their ids, so that the order of `fleet` means nothing.
    """
    heard = {entry.unicorn.unicorn_id: entry for entry in fleet if entry.position}
    entries = [heard[unicorn_id] for unicorn_id in sorted(heard)]
    free = [entry for entry in entries if entry.unicorn.can_take_a_ride]
    busy = list(_busy(entries)) if plan_seconds > 0 else []
    ready_in = _seconds_until_free(busy, now, travel, remaining)
    soon = np.flatnonzero(ready_in <= plan_seconds)
    busy = [busy[row] for row in soon]
    return Candidates(
        unicorn_ids=(*(e.unicorn.unicorn_id for e in free), *(b.unicorn_id for b in busy)),
        places=places([*(e.position.location for e in free if e.position), *(b.dropoff for b in busy)]),
        ready_in=np.concatenate([np.zeros(len(free)), ready_in[soon]]),
        idle=np.array([*(_idle(e, now) for e in free), *(0.0 for _ in busy)]),
        available=len(free),
    )
