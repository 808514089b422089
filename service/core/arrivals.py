"""When the unicorn of a ride will be at the pickup, told to everyone who follows the ride."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.core.times import ZoneTimes
from service.matching.correction import Kind
from service.matching.travel import seconds_between
from service.model import Location, Ride

ASK_EVERY: Final = timedelta(seconds=10)
"""How long a figure is counted down before the travel times are asked again: 1,000 followers must
not be 500 questions a second to a routing engine."""

ArrivalKey = tuple[str, str | None]
"""Ids of the ride and of its unicorn: another unicorn is another arrival."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was left, in seconds, at an instant."""

    seconds: float
    at: datetime

    def left(self, now: datetime) -> float:
        """Seconds left by now, never less than 0."""
        return max(0.0, self.seconds - (now - self.at).total_seconds())


class Arrivals:
    """Asks for a ride at most once in `ASK_EVERY` and counts down between. Shared by threads.

    `told` remembers the last figures. It may forget any of them at any time.
    """

    def __init__(self, times: ZoneTimes, told: MutableMapping[ArrivalKey, Arrival]) -> None:
        self._times = times
        self._told = told
        self._lock = threading.Lock()

    def pickup_eta(self, ride: Ride, position: Location, now: datetime) -> int:
        """Seconds until the ride's unicorn, which is at `position`, is at the pickup."""
        key = ride.ride_id, ride.unicorn_id
        with self._lock:
            last = self._told.get(key)
            if last and now - last.at < ASK_EVERY:
                return round(last.left(now))
            # Other threads count down from here while this one asks.
            self._told[key] = Arrival((last or _promised(ride, now)).left(now), now)
        travel = self._times.telling(ride.zone, Kind.PICKUP, now)
        seconds = seconds_between(travel, position, ride.pickup)
        with self._lock:
            self._told[key] = Arrival(seconds, now)
        return round(seconds)


def _promised(ride: Ride, now: datetime) -> Arrival:
    """What the rider was told when the unicorn took the ride."""
    return Arrival(ride.pickup_eta_seconds or 0, ride.matched_at or now)
