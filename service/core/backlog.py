"""What waits for a round."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from service.core.ports import Ports
from service.model import Ride, RideStatus

SOON: Final = timedelta(seconds=10)
"""Every waiting ride is due for the sweep within this."""
LOOKED_AT: Final = 500


def waiting_rides(ports: Ports, now: datetime, limit: int = LOOKED_AT) -> Sequence[Ride]:
    """The waiting among the rides that are due soonest: all that wait, unless that are hundreds."""
    due = ports.rides.due(now + SOON, limit)
    return [ride for ride in due if ride.status is RideStatus.REQUESTED]


def oldest_waiting(ports: Ports, now: datetime) -> timedelta | None:
    """How long the ride that waits longest has waited; none if none waits."""
    return max((now - ride.requested_at for ride in waiting_rides(ports, now)), default=None)
