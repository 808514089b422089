"""Whether a unicorn is where it says it is: at the pickup when it arrives, and at the dropoff."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from service.core.ports import Stores, WriteConflict
from service.matching.travel import GreatCircle
from service.model import Location, Position, Ride
from service.model.errors import TooFarAway, Unavailable
from service.model.presence import validated

RECENT: Final = timedelta(seconds=15)
"""A position older than this is too old to locate a moving unicorn."""

INSIST_AFTER: Final = timedelta(seconds=30)
"""A driver who reports the arrival again this long after the first refusal is believed, because
phones and maps can be wrong."""


def place_of(
    ports: Stores, unicorn_id: str, sent: Position | None, now: datetime
) -> Location | None:
    """Where the unicorn is: the position sent with its step, or else its last position if recent.

    The phone's clock is checked, as for every report. One call to Redis at most.
    """
    place = validated(sent, now, RECENT) if sent else None
    if isinstance(place, Position):
        return place.location
    try:
        last = ports.fleet.position(unicorn_id, now)
    except Unavailable:
        return None
    return last.location if last and now - last.recorded_at <= RECENT else None


def reached_at(ports: Stores, ride: Ride, now: datetime) -> datetime | None:
    """When the ride's unicorn was first seen at the pickup.

    None if it was not seen there, or if Redis does not answer.
    """
    try:
        reached = ports.fleet.reached(ride.unicorn_id or "", ride.ride_id)
    except Unavailable:
        return None
    return max(reached, ride.matched_at or reached) if reached and reached <= now else None


def metres_from(place: Location | None, at: Location | None) -> int | None:
    """The straight-line distance in whole metres; None if either place is unknown."""
    return round(GreatCircle().crow_metres(place, at)) if place and at else None


def arrived(ports: Stores, ride: Ride, place: Location | None, now: datetime) -> Ride:
    """The ride in status `arrived`.

    Raises `TooFarAway` if the unicorn is known to be elsewhere, unless the driver reports the
    arrival again after `INSIST_AFTER`.
    """
    metres, most = metres_from(place, ride.pickup), ports.rules.arrive_max_metres
    insists = ride.arrive_refused_at and now - ride.arrive_refused_at >= INSIST_AFTER
    after = ride.arrived(now, ports.rules.no_show_after, metres)
    if metres is not None and 0 < most < metres and not insists:
        raise TooFarAway(f"{metres} m from the pickup; if that is wrong, report again after 30 s")
    return after


def note_refusal(ports: Stores, ride: Ride, now: datetime) -> None:
    """Store when the driver's arrival was first refused.

    Clients do not see this instant, so the ride gets no new version.
    """
    if ride.arrive_refused_at is None:
        # A failure does little harm: then the next refusal counts as the first one.
        with suppress(WriteConflict, Unavailable):
            ports.rides.save(ride, replace(ride, arrive_refused_at=now))
