"""Waits until a ride or a unicorn changes, and follows a ride with its unicorn's position."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from service.core.effects import ride_topic, unicorn_topic
from service.core.pickup_etas import PickupEtas
from service.core.ports import Hints, Stores
from service.core.rides import own_ride
from service.core.transition import stored_unicorn
from service.core.unicorns import UnicornAndRide, with_advice, with_ride
from service.matching.correction import Kind
from service.model import SHOWS_UNICORN, Position, Ride, RideStatus
from service.model.errors import Unavailable, UnicornNotFound

REREAD_SECONDS: Final = 5.0
"""A waiter reads again this often, because announcements may be lost."""

LIVE_SECONDS: Final = 2.0
"""The shortest time between two positions of the unicorn that a follower gets."""

MAX_SHOWN_ETA_FACTOR: Final = 4
"""A pickup ETA above this many times `max_pickup_eta` comes from a wrong position, so a rider does
not see it."""

Watched = TypeVar("Watched", Ride, UnicornAndRide)


@dataclass(frozen=True, slots=True)
class LiveView:
    """The part of a ride that changes without a new version."""

    status: RideStatus
    version: int
    position: Position | None
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    planned_pickup_eta_seconds: int | None


class Wait:
    """A client's wait for news. The process, the client or a newer stream may end it early."""

    def __init__(self) -> None:
        self.ended_by = ""
        """Why the wait ended early; empty if it did not."""
        self._wake: Callable[[], None] | None = None

    def end(self, reason: str) -> None:
        """End the wait now; the first reason stays."""
        self.ended_by = self.ended_by or reason
        if self._wake:
            self._wake()

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the wait ends; at once if it has already ended."""
        self._wake = wake
        if self.ended_by:
            wake()


def wait_for_ride(
    ports: Stores,
    ride: Ride,
    done: Callable[[Ride], bool],
    seconds: float,
    monotonic: Callable[[], float],
    wait: Wait,
) -> Ride:
    """Return the ride when `done(ride)` is true, after `seconds`, or when the wait ends.

    Raises `RideNotFound` if it is no longer this rider's.
    """
    read = partial(_read_again, ports, ride)
    return _wait(ports, ride_topic(ride.ride_id), read, done, seconds, monotonic, wait)


def wait_for_unicorn(
    ports: Stores,
    both: UnicornAndRide,
    done: Callable[[UnicornAndRide], bool],
    seconds: float,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    wait: Wait,
) -> UnicornAndRide:
    """Return unicorn and ride when `done(both)` is true, after `seconds`, or when the wait ends.

    Raises `UnicornNotFound` if the unicorn is gone or another account drives it.
    """
    unicorn = both.unicorn

    def read() -> UnicornAndRide:
        stored = stored_unicorn(ports, unicorn.unicorn_id)
        if stored.account_sub != unicorn.account_sub:
            raise UnicornNotFound("this account drives another unicorn now")
        return with_advice(ports, with_ride(ports, stored, now()), now())

    return _wait(ports, unicorn_topic(unicorn.unicorn_id), read, done, seconds, monotonic, wait)


def follow_ride(
    ports: Stores,
    etas: PickupEtas,
    ride_id: str,
    rider_id: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    wait: Wait,
) -> Generator[Ride | LiveView | None, None, None]:
    """Yield the rider's ride, then each new version and the unicorn's position, until the end.

    Yields None at least every `LIVE_SECONDS` if there is nothing new, so that the caller can do its
    own checks. Raises `RideNotFound` if the ride is not (or no longer) this rider's; the first step
    may raise `Unavailable`.
    """
    with ports.changes.listen(ride_topic(ride_id)) as listener:
        wait.wake_with(listener.wake)
        yield (ride := own_ride(ports, ride_id, rider_id))
        shown: LiveView | None = None
        live_at = monotonic()
        read_at = live_at + REREAD_SECONDS
        while not ride.is_terminal:
            if monotonic() >= live_at:
                live_at = monotonic() + LIVE_SECONDS
                seen, shown = shown, live_view(ports, etas, ride, now())
                yield shown if shown != seen else None
            announced = listener.wait(max(0.0, min(live_at, read_at) - monotonic()))
            if wait.ended_by:
                return
            if announced or monotonic() >= read_at:
                read_at = monotonic() + REREAD_SECONDS
                before, ride = ride, _read_again(ports, ride)
                yield ride if ride.version > before.version else None


def _read_again(ports: Stores, ride: Ride) -> Ride:
    """The ride as stored; the old one if the store does not answer, so that the wait goes on."""
    try:
        return own_ride(ports, ride.ride_id, ride.rider_id)
    except Unavailable:
        return ride


def _wait(
    ports: Stores,
    topic: str,
    read: Callable[[], Watched],
    done: Callable[[Watched], bool],
    seconds: float,
    monotonic: Callable[[], float],
    wait: Wait,
) -> Watched:
    # Subscribe first, then read: the read sees earlier changes, and a later one wakes the waiter.
    end = monotonic() + seconds
    with ports.changes.listen(topic) as listener:
        wait.wake_with(listener.wake)
        while True:
            value = read()
            left = end - monotonic()
            if left <= 0 or done(value):
                return value
            listener.wait(min(left, REREAD_SECONDS))
            if wait.ended_by:
                return value


def live_view(ports: Hints, etas: PickupEtas, ride: Ride, now: datetime) -> LiveView:
    """The position of the ride's unicorn and its ETA at the pickup, as last heard.

    Without Redis the position, and any ETA that depends on Redis, is None; that is no error.
    """
    position: Position | None = None
    planned: int | None = None
    try:
        if ride.status is RideStatus.REQUESTED:
            plan = ports.waiting.plan_of(ride.zone, ride.ride_id)
            planned = plan.pickup_eta_seconds if plan else None
        elif ride.status in SHOWS_UNICORN and ride.unicorn:
            position = ports.fleet.position(ride.unicorn.unicorn_id, now)
    except Unavailable:
        pass
    eta = _pickup_eta(ports, etas, ride, position, now)
    latest = None
    if eta is not None:
        latest = round(eta * ports.times.latest_factor(ride.zone, Kind.PICKUP))
    return LiveView(ride.status, ride.version, position, eta, latest, planned)


def _pickup_eta(
    ports: Hints, etas: PickupEtas, ride: Ride, position: Position | None, now: datetime
) -> int | None:
    if ride.status is RideStatus.ARRIVED:
        return 0
    if ride.status is not RideStatus.MATCHED or position is None:
        return None
    eta = etas.pickup_eta(ride, position.location, now)
    return eta if eta <= MAX_SHOWN_ETA_FACTOR * ports.rules.max_pickup_eta.total_seconds() else None
