"""Pausing dispatch, in a zone or everywhere: riders are told, waiting rides wait, trips go on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from service.core import effects
from service.core.model import RideStatus
from service.core.oversight import Pause
from service.core.ports import Ports

SOON: Final = timedelta(seconds=10)
"""Every waiting ride is due for the sweep within this."""

TRIGGERED: Final = 500
"""Rides triggered when dispatch is resumed; the sweep triggers the rest within seconds."""


def set_pause(ports: Ports, zone: str | None, paused: bool, now: datetime) -> Pause:
    """Pause or resume a zone, or everything; what waits is looked at as soon as it may be."""
    pause = ports.pauses.put(zone, paused)
    if not paused:
        _trigger(ports, pause, now)
    return pause


def _trigger(ports: Ports, pause: Pause, now: datetime) -> None:
    for ride in ports.rides.due(now + SOON, TRIGGERED):
        if ride.status is RideStatus.REQUESTED and not pause.covers(ride.zone):
            effects.trigger_ride(ports, ride)
