"""Tells a silent unicorn from an outage, before a ride is taken from it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from service.core.ports import Hints
from service.model import Ride
from service.model.presence import OUTAGE_LASTS

logger = logging.getLogger(__name__)
OUTAGE_MESSAGE: Final = "ride left with its silent unicorn: many fell silent together"


def is_outage(ports: Hints, ride: Ride, late: timedelta, now: datetime) -> bool:
    """Whether the ride's silent unicorn fell silent together with a large part of the fleet.

    If so, something between unicorns and API failed unnoticed, and the unicorn keeps its ride for
    a limited time. `late`: how much longer than allowed the unicorn has been silent. Two remote
    calls, so call it only for a unicorn that is late. Raises `Unavailable`.
    """
    if late > OUTAGE_LASTS * ports.rules.stale_after:
        return False
    found = ports.fleet.silent_together(ride.unicorn_id or "", now)
    if found.is_outage:
        logger.error(
            OUTAGE_MESSAGE,
            extra={
                "ride_id": ride.ride_id,
                "unicorn_id": ride.unicorn_id,
                "silent": found.silent,
                "assigned": found.assigned,
            },
        )
    return found.is_outage
