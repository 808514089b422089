"""The effects of a committed write: updates of the hints in Redis, announcements, jobs.

All of them may be lost without harm: the sweep and the unicorns' next positions repair the hints,
the sweep triggers again, and waiters read again.
If a store fails here, this is logged. The operation succeeds nevertheless, because its write is
committed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from service.core.ports import Hints
from service.matching.zones import zones_within
from service.model import Location, Ride, RideStatus, Unicorn
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

LEFT_WAITING: Final = frozenset(
    {RideStatus.OFFERED, RideStatus.MATCHED, RideStatus.CANCELED, RideStatus.UNMATCHED}
)
"""States that a waiting ride can enter next; after a write, only these remove it from the waiting
set."""


def ride_topic(ride_id: str) -> str:
    return f"ride:{ride_id}"


def unicorn_topic(unicorn_id: str) -> str:
    return f"unicorn:{unicorn_id}"


def after_write(ports: Hints, now: datetime, *, ride: Ride | None, unicorn: Unicorn | None) -> None:
    """Announce the new ride and unicorn, update the hints in Redis, and trigger rounds.

    `Unavailable` is logged and not raised.
    """
    try:
        # The announcement comes first, because clients wait for it.
        ports.changes.announce(*_topics(ride, unicorn))
        if unicorn:
            has_it = ride and ride.ride_id == unicorn.ride_id
            ports.fleet.refresh(unicorn, now, ride.version if ride and has_it else None)
        if ride and ride.status in LEFT_WAITING:
            ports.waiting.discard(ride.zone, [ride.ride_id])
        if ride and ride.status is RideStatus.MATCHED and ride.matched_at == now:
            ports.statistics.matched((now - ride.requested_at).total_seconds(), now)
    except Unavailable as error:
        logger.warning(
            "Redis not updated: the sweep and the unicorn's next positions repair it",
            extra={"cause": str(error)},
        )
        return
    if ride and ride.status is RideStatus.REQUESTED:
        trigger_rides(ports, [ride])
    if unicorn and unicorn.can_take_a_ride:
        trigger_around_unicorn(ports, unicorn.unicorn_id, now)


def trigger_rides(ports: Hints, rides: Sequence[Ride]) -> None:
    """Add waiting rides to their zones, and publish a job for each zone without a mark.

    One call to Redis.
    """
    request_ids = {ride.zone: ride.request_id for ride in rides}
    with _lost_triggers_logged(rides):
        for zone in ports.waiting.add(rides) if rides else ():
            ports.rounds.publish(zone, request_ids[zone])


def trigger_around_unicorn(ports: Hints, unicorn_id: str, now: datetime) -> None:
    """Ask for a round for the waiting rides that a newly usable unicorn can reach."""
    with _lost_triggers_logged():
        position = ports.fleet.position(unicorn_id, now)
        if position:
            trigger_around(ports, [position.location])


def trigger_around(ports: Hints, locations: Iterable[Location]) -> None:
    """Ask for rounds for the waiting rides within reach of newly usable unicorns."""
    zones = {z for at in locations for z in zones_within(at, ports.rules.reach_metres)}
    with _lost_triggers_logged():
        for zone in ports.waiting.mark(zones) if zones else ():
            ports.rounds.publish(zone, "")


@contextmanager
def _lost_triggers_logged(rides: Sequence[Ride] = ()) -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        logger.warning(
            "trigger lost, the sweep triggers the waiting rides",
            extra={"ride_ids": [ride.ride_id for ride in rides], "cause": str(error)},
        )


def _topics(ride: Ride | None, unicorn: Unicorn | None) -> list[str]:
    topics = [ride_topic(ride.ride_id)] if ride else []
    return [*topics, unicorn_topic(unicorn.unicorn_id)] if unicorn else topics
