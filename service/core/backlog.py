"""How far behind the rounds are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from service.core.model import RideStatus
from service.core.ports import Ports

SOON: Final = timedelta(seconds=10)
"""Every waiting ride is due for the sweep within this."""
LOOKED_AT: Final = 500


def oldest_waiting(ports: Ports, now: datetime) -> timedelta | None:
    """How long the ride that waits longest has waited; none if none waits.

    Of the rides that are due soonest, which is all that wait unless there are hundreds.
    """
    due = ports.rides.due(now + SOON, LOOKED_AT)
    waiting = [now - ride.requested_at for ride in due if ride.status is RideStatus.REQUESTED]
    return max(waiting, default=None)
