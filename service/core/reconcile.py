"""Repairs rides and unicorns that contradict each other, for example after a table was restored.

The service itself changes both sides in one transaction, so only a restore or a change by hand can
make them differ. The ride's row decides, because the rider has seen it. If the ride's unicorn is
free, it continues with the ride; otherwise the ride waits for another unicorn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.core import effects
from service.core.ports import Stores, WriteConflict
from service.core.transition import ATTEMPTS, write
from service.model import ASSIGNED, CanceledBy, Ride, RideStatus, RideStep, Trip, Unicorn
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

FAR_AHEAD: Final = timedelta(days=36_500)
"""Longer than any `due_at` is away, so that every open ride counts as due."""


class Mended(StrEnum):
    """The repair of a pair."""

    UNICORN_FREED = "unicorn_freed"
    """The unicorn was reserved for a ride that is not its own, has ended or does not exist."""
    UNICORN_REJOINED = "unicorn_rejoined"
    """The unicorn was free or in a state that does not fit its ride; it continues with the ride."""
    RIDE_RETURNED = "ride_returned"
    """The ride's unicorn is gone, off duty or on another ride, so the ride waits for another."""
    RIDE_ENDED = "ride_ended"
    """As for `RIDE_RETURNED`, but the rider was aboard, so the ride ended."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A pair that was repaired, and how."""

    what: Mended
    ride_id: str
    unicorn_id: str


@dataclass(slots=True)
class Reconciled:
    """What a run checked and repaired. `complete`: whether everything was checked."""

    unicorns: int = 0
    rides: int = 0
    repairs: list[Repair] = field(default_factory=list)
    complete: bool = False


def reconcile(
    ports: Stores,
    fleet: Iterable[Unicorn],
    now: datetime,
    most_rides: int,
    time_left: Callable[[], bool] = lambda: True,
) -> Reconciled:
    """Repair every pair, and write every unicorn and waiting ride to Redis again.

    `fleet`: every unicorn as stored. `most_rides`: the most open rides that are read. Reads two
    items for each unicorn with a ride and for each ride with a unicorn. May be repeated at any
    time. Raises `Unavailable`.
    """
    done = Reconciled()
    # Unicorns first: a unicorn freed from an ended ride can then go on with its real one.
    for unicorn in fleet:
        if not time_left():
            return done
        if not unicorn.ride_id or not _note(done, ports, unicorn.ride_id, unicorn.unicorn_id, now):
            ports.fleet.refresh(unicorn, now)
        done.unicorns += 1
    rides = ports.rides.due(now + FAR_AHEAD, most_rides)
    for ride in rides:
        if not time_left():
            return done
        if ride.status is RideStatus.REQUESTED:
            effects.trigger_rides(ports, [ride])
        else:
            _note(done, ports, ride.ride_id, ride.unicorn_id or "", now)
        done.rides += 1
    done.complete = len(rides) < most_rides
    return done


def _note(done: Reconciled, ports: Stores, ride_id: str, unicorn_id: str, now: datetime) -> bool:
    what = mend(ports, ride_id, unicorn_id, now)
    if what:
        done.repairs.append(Repair(what, ride_id, unicorn_id))
    return what is not None


def mend(ports: Stores, ride_id: str, unicorn_id: str, now: datetime) -> Mended | None:
    """Make a ride and a unicorn agree; None if they already do. Raises `Unavailable`."""
    for _ in range(ATTEMPTS):
        ride, unicorn = ports.assignments.pair(ride_id, unicorn_id)
        what, ride_after, unicorn_after = _agreed(ports, (ride_id, unicorn_id), ride, unicorn, now)
        if what is None:
            return None
        try:
            write(ports, (ride, ride_after), (unicorn, unicorn_after))
        except WriteConflict:
            continue
        effects.after_write(ports, now, ride=ride_after, unicorn=unicorn_after)
        logger.warning(
            "pair repaired", extra={"ride_id": ride_id, "unicorn_id": unicorn_id, "what": what}
        )
        return what
    raise Unavailable(f"ride {ride_id} is being changed by too many at once")


def _agreed(
    ports: Stores, ids: tuple[str, str], ride: Ride | None, unicorn: Unicorn | None, now: datetime
) -> tuple[Mended | None, Ride | None, Unicorn | None]:
    """The repair that is needed, and what both sides become."""
    ride_id, unicorn_id = ids
    if ride is None or ride.status not in ASSIGNED or ride.unicorn_id != unicorn_id:
        if unicorn and unicorn.ride_id == ride_id:
            return Mended.UNICORN_FREED, ride, unicorn.released(ride_id, now)
        return None, ride, unicorn
    trip = Trip(ride.pickup, ride.dropoff, ride.started_at)
    rejoined = unicorn and unicorn.rejoined(ride.ride_id, trip)
    if rejoined:
        return (None if rejoined is unicorn else Mended.UNICORN_REJOINED), ride, rejoined
    if ride.status is RideStatus.IN_PROGRESS:
        ended = ride.canceled(CanceledBy.SYSTEM, "unicorn_lost", now)
        return Mended.RIDE_ENDED, ended, unicorn
    returned = ride.returned(now, ports.rules.match_within, RideStep.RECONCILED)
    return Mended.RIDE_RETURNED, returned, unicorn
