"""Rides in a round that never ended: one of them may be what crashed it.

Each is taken alone, and that is counted before it is tried, so that whoever crashes again is
known. Who is tried and crashes nothing is cleared. Random deaths of workers count against nobody
for long: they would have to hit the same ride alone, again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from service.core.dead_letters import set_aside_entry, set_aside_ride
from service.core.ports import Ports, RoundLease
from service.model import Ride
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

CRASHES_ALONE: Final = 2
"""Rounds a ride may crash alone before it is set aside: one may be bad luck (its worker was
killed just then), and each costs its zone a few seconds."""

CAUSE: Final = f"every round with this ride crashed, {CRASHES_ALONE} of them with it alone"


def sort_out(
    ports: Ports, lease: RoundLease, rides: Sequence[Ride], now: Callable[[], datetime]
) -> tuple[Sequence[Ride], Sequence[Ride]]:
    """The rides of a round that nothing is said against, and the suspects.

    What nobody can read is set aside.
    """
    for ride_id, content in lease.unreadable.items():
        try:
            set_aside_entry(ports, lease.zone, ride_id, content, now())
        except Unavailable as error:
            # The next round tries again; what can be read must not wait for it.
            logger.warning("entry not set aside", extra={"cause": str(error)})
    suspects = [ride for ride in rides if ride.ride_id in lease.suspects]
    return [ride for ride in rides if ride.ride_id not in lease.suspects], suspects


def try_suspects(
    ports: Ports,
    lease: RoundLease,
    rides: Sequence[Ride],
    try_alone: Callable[[Ride], bool],
    now: Callable[[], datetime],
    is_time_up: Callable[[], bool],
) -> bool:
    """Take each ride alone, those that crashed least first; false if the time is up before.

    `try_alone` pairs and claims one ride, and says whether it is claimed.
    """
    for ride in sorted(rides, key=lambda ride: ride.crashed_rounds):
        if is_time_up():
            return False
        if ride.crashed_rounds >= CRASHES_ALONE:
            set_aside_ride(ports, ride, CAUSE, now())
        else:
            _try(ports, ride, try_alone)
        lease.clear(ride.ride_id)
    return True


def _try(ports: Ports, ride: Ride, try_alone: Callable[[Ride], bool]) -> None:
    logger.warning("ride of a crashed round tried alone", extra={"ride_id": ride.ride_id})
    counted = replace(ride, crashed_rounds=ride.crashed_rounds + 1)
    if not ports.rides.count_crashes(ride, counted.crashed_rounds):
        # Something else became of it meanwhile; if it is open, the sweep adds it as it is.
        ports.waiting.discard(ride.zone, [ride.ride_id])
        return
    ports.waiting.correct(counted)
    if try_alone(counted):
        return
    try:
        if ports.rides.count_crashes(counted, 0):
            ports.waiting.correct(replace(counted, crashed_rounds=0))
    except Unavailable as error:
        # It did not crash: the caller clears it, whatever the stores say.
        logger.warning("crashes still counted", extra={"cause": str(error)})
