"""Applies a changed retention to the rides that ended before the change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Final

from service.core.ports import Rides, WriteConflict
from service.core.staff import RideHistory
from service.model import Ride, items_of

PAGE: Final = 100


def renew_expiry(
    rides: Rides, history: RideHistory, since: datetime, until: datetime
) -> Iterator[Ride]:
    """Write each ended ride that was requested in the time span once more, unchanged.

    The store adds or removes the end of its retention, as it does with each write. Yields the
    rides that it wrote, newest first. May be repeated. One write for each ride, and reads for all
    rides of the time span. Raises `Unavailable`.
    """
    listing = partial(history.newest, since=since, until=until, status=None, limit=PAGE)
    for ride in items_of(lambda start: listing(start=start)):
        if not ride.is_terminal:
            continue
        try:
            rides.save(ride, ride)
        except WriteConflict:
            continue  # somebody else wrote it, with its new expiry, or it has expired
        yield ride
