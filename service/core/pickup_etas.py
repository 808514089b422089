"""Pickup ETAs for riders who follow their ride."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.core.travel_times import ZoneTimes
from service.matching.correction import Kind
from service.matching.travel import seconds_between
from service.model import Location, Ride

ASK_EVERY: Final = timedelta(seconds=10)
"""How long an ETA is counted down before the travel times are asked again. Without this
pause 1,000 followers, each with a view every 2 s, would cause 500 calls a second to a routing
engine."""

EtaKey = tuple[str, str | None]
"""The ids of a ride and its unicorn, because a change of the unicorn starts a new ETA."""


@dataclass(frozen=True, slots=True)
class Countdown:
    """The seconds that were left at an instant."""

    seconds: float
    at: datetime

    def left(self, now: datetime) -> float:
        """The seconds left now, at least 0."""
        return max(0.0, self.seconds - (now - self.at).total_seconds())


class PickupEtas:
    """ETAs that are computed at most once in `ASK_EVERY` per ride and counted down in between.

    Threads may share it. `etas`: a cache of the last ETAs; it may drop any entry.
    """

    def __init__(self, times: ZoneTimes, etas: MutableMapping[EtaKey, Countdown]) -> None:
        self._times = times
        self._etas = etas
        self._lock = threading.Lock()

    def pickup_eta(self, ride: Ride, position: Location, now: datetime) -> int:
        """Seconds until the ride's unicorn, which is at `position`, arrives at the pickup."""
        key = ride.ride_id, ride.unicorn_id
        with self._lock:
            last = self._etas.get(key)
            if last and now - last.at < ASK_EVERY:
                return round(last.left(now))
            # A provisional value: other threads count down from it while this thread asks.
            self._etas[key] = Countdown((last or _eta_when_matched(ride, now)).left(now), now)
        travel = self._times.for_riders(ride.zone, Kind.PICKUP, now)
        seconds = seconds_between(travel, position, ride.pickup)
        with self._lock:
            self._etas[key] = Countdown(seconds, now)
        return round(seconds)


def _eta_when_matched(ride: Ride, now: datetime) -> Countdown:
    """The ETA that the rider was told when the ride was matched."""
    return Countdown(ride.pickup_eta_seconds or 0, ride.matched_at or now)
