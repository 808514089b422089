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
    """Write again, unchanged, each ended ride that was requested from `since` to `until`.

    With each write, the store sets or removes the expiry of the ride. Yields the written rides,
    newest first. May be repeated. Costs one write per ended ride, and reads all rides of the time
    span. Raises `Unavailable`.
    """
    listing = partial(history.newest, since=since, until=until, status=None, limit=PAGE)
    for ride in items_of(lambda start: listing(start=start)):
        if not ride.is_terminal:
            continue
        try:
            rides.save(ride, ride)
        except WriteConflict:
            continue  # another process has written its new expiry, or the ride has expired
        yield ride
