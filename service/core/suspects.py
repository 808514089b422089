"""Suspects: rides that a dead process held, one of which may have killed it.

A round tries each suspect alone. It counts the attempt first, so that the count outlives the
process. A ride that was tried and killed nothing is cleared. An exception is not a death: a
round that raises one clears its rides (`RoundLease.release_after_error`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from service.core.dead_letters import set_aside_ride
from service.core.ports import DeadLetters, RoundLease, Stores
from service.model import Ride
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

DEATHS_ALONE: Final = 2
"""How many processes a ride may kill while it is tried alone, before it is set aside. One death may
be a coincidence. Each costs the ride's zone a few seconds."""

CAUSE: Final = f"{1 + DEATHS_ALONE} processes died on this ride, {DEATHS_ALONE} of them on it alone"


def try_suspects(
    ports: Stores,
    letters: DeadLetters,
    lease: RoundLease,
    rides: Sequence[Ride],
    deaths: Mapping[str, int],
    try_alone: Callable[[Ride], object],
    now: Callable[[], datetime],
    is_time_up: Callable[[], bool],
) -> bool:
    """Try each ride alone, those with the fewest deaths first; False if the time is up first.

    `deaths`: the number of processes that died on each ride alone. `try_alone` pairs and claims one
    ride.
    """
    for ride in sorted(rides, key=lambda ride: deaths[ride.ride_id]):
        if is_time_up():
            return False
        if deaths[ride.ride_id] >= DEATHS_ALONE:
            try:
                set_aside_ride(ports, letters, ride, CAUSE, now())
            except Unavailable as error:
                # Still a suspect: the next round tries to set it aside again.
                logger.warning("ride not set aside", extra={"cause": str(error)})
                continue
        else:
            logger.warning("suspect tried alone", extra={"ride_id": ride.ride_id})
            lease.try_alone(ride.ride_id)
            _outlive(ride, try_alone)
        lease.clear(ride.ride_id)
    return True


def _outlive(ride: Ride, try_alone: Callable[[Ride], object]) -> None:
    """Try one ride. An exception is not a death, so the caller clears the ride then too."""
    try:
        try_alone(ride)
    except Exception:
        logger.exception("round of a suspect failed", extra={"ride_id": ride.ride_id})
