"""Pausing dispatch, in a zone or everywhere: riders are told, waiting rides wait, trips go on."""

from __future__ import annotations

from datetime import datetime

from service.core import effects
from service.core.backlog import waiting_rides
from service.core.ports import Ports
from service.model.operations import Pause


def set_pause(ports: Ports, zone: str | None, paused: bool, now: datetime) -> Pause:
    """Pause or resume a zone, or everything; what waits is looked at as soon as it may be."""
    pause = ports.pauses.put(zone, paused)
    if not paused:
        _trigger(ports, pause, now)
    return pause


def _trigger(ports: Ports, pause: Pause, now: datetime) -> None:
    """Some hundreds, if so many wait; the sweep triggers the rest within seconds."""
    for ride in waiting_rides(ports, now):
        if not pause.covers(ride.zone):
            effects.trigger_ride(ports, ride)
