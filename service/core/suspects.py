"""Rides that a dead process held: one of them may be what killed it.

Each is taken alone, and that is counted before the attempt, so that a ride that kills again is
known. A ride that is tried and kills nobody is cleared. An exception is not a death: whoever
raises it clears its rides (`RoundLease.fail`).
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
"""How many processes a ride may kill alone before it is set aside. One may be bad luck: somebody
killed the worker just then. Each costs the ride's zone a few seconds."""

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
    """Take each ride alone, those with the fewest deaths first; false if the time is up before.

    `deaths`: how many processes died on each ride alone. `try_alone` pairs and claims one ride.
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
            logger.warning("ride of a dead process tried alone", extra={"ride_id": ride.ride_id})
            lease.try_alone(ride.ride_id)
            _outlive(ride, try_alone)
        lease.clear(ride.ride_id)
    return True


def _outlive(ride: Ride, try_alone: Callable[[Ride], object]) -> None:
    """An exception with a ride alone says that the process lives: the ride is cleared as well."""
    try:
        try_alone(ride)
    except Exception:
        logger.exception("round with a ride alone failed", extra={"ride_id": ride.ride_id})
