"""A worker whose pool child dies when it pairs a ride to the place below, as by a bug in C."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any, Final

from service.core import pairing
from service.model import Location, Ride
from worker.app import app

DEADLY: Final = Location(13.0, 13.0)

_match: Final = pairing.match


def match(waiting: Sequence[Ride], *rest: Any, **named: Any) -> Any:
    if any(ride.dropoff == DEADLY for ride in waiting):
        os.kill(os.getpid(), signal.SIGKILL)
    return _match(waiting, *rest, **named)


pairing.match = match

__all__ = ["app"]
