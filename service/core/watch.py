"""Waits for a ride or a unicorn to change, and says where a ride's unicorn is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from service.core.arrivals import Arrivals
from service.core.effects import ride_topic, unicorn_topic
from service.core.ports import Hints, Stores
from service.core.rides import own_ride
from service.core.transition import stored_unicorn
from service.core.unicorns import Duty, advised, duty_of
from service.matching.correction import Kind
from service.model import Position, Ride, RideStatus
from service.model.errors import Unavailable, UnicornNotFound

REREAD_SECONDS: Final = 5.0
"""Announcements may be lost: a waiter looks for itself this often."""

LIVE_SECONDS: Final = 2.0
"""How often a follower is told where the unicorn is, at most."""

BELIEVED_CAPS: Final = 4
"""A pickup ETA beyond so many caps is a sensor's mistake, and no figure for a rider."""

SHOWS_UNICORN: Final = frozenset({RideStatus.MATCHED, RideStatus.ARRIVED, RideStatus.IN_PROGRESS})

Watched = TypeVar("Watched", Ride, Duty)


@dataclass(frozen=True, slots=True)
class LiveView:
    """What changes about a ride without a new version."""

    status: RideStatus
    version: int
    position: Position | None
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    planned_pickup_eta_seconds: int | None


class Wait:
    """One client that waits for news. Whoever knows that it no longer does ends the wait."""

    def __init__(self) -> None:
        self.ended_by = ""
        """Why the wait was ended early; empty while it goes on."""
        self._wake: Callable[[], None] | None = None

    def end(self, reason: str) -> None:
        """End the wait now; the first reason stays."""
        self.ended_by = self.ended_by or reason
        if self._wake:
            self._wake()

    def wake_with(self, wake: Callable[[], None]) -> None:
        """What to call when the wait is ended; called at once if that has happened already."""
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
    """The ride as soon as `done` holds of it, or as it is when the time is up or the wait ended.

    Raises `RideNotFound` if it is no longer this rider's.
    """

    def read() -> Ride:
        return _read_again(ports, ride)

    return _wait(ports, ride_topic(ride.ride_id), read, done, seconds, monotonic, wait)


def wait_for_duty(
    ports: Stores,
    duty: Duty,
    done: Callable[[Duty], bool],
    seconds: float,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    wait: Wait,
) -> Duty:
    """Both as soon as `done` holds of them, or as they are when the time is up or the wait ended.

    Raises `UnicornNotFound` if it is gone or no longer driven by the same account.
    """
    unicorn = duty.unicorn

    def read() -> Duty:
        stored = stored_unicorn(ports, unicorn.unicorn_id)
        if stored.account_sub != unicorn.account_sub:
            raise UnicornNotFound("this account drives another unicorn now")
        return advised(ports, duty_of(ports, stored, now()), now())

    return _wait(ports, unicorn_topic(unicorn.unicorn_id), read, done, seconds, monotonic, wait)


def follow_ride(
    ports: Stores,
    arrivals: Arrivals,
    ride_id: str,
    rider_id: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    wait: Wait,
) -> Generator[Ride | LiveView | None, None, None]:
    """The rider's ride, then each new version and where its unicorn is, until ride or wait end.

    None says at least every `LIVE_SECONDS` that there is nothing new, so that the caller can look
    to its own affairs. Raises `RideNotFound` if it is not (or no longer) this rider's; the first
    step may raise `Unavailable`.
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
                seen, shown = shown, live_view(ports, arrivals, ride, now())
                yield shown if shown != seen else None
            announced = listener.wait(max(0.0, min(live_at, read_at) - monotonic()))
            if wait.ended_by:
                return
            if announced or monotonic() >= read_at:
                read_at = monotonic() + REREAD_SECONDS
                known, ride = ride, _read_again(ports, ride)
                yield ride if ride.version > known.version else None


def _read_again(ports: Stores, ride: Ride) -> Ride:
    """The ride as stored; as it was if the store does not answer: no news is better than none."""
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
    # Listen first, read then: a change before the first read is seen by it, a later one wakes us.
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


def live_view(ports: Hints, arrivals: Arrivals, ride: Ride, now: datetime) -> LiveView:
    """Where the ride's unicorn is and when it should be at the pickup, as last heard.

    Redis being away makes these unknown, never an error.
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
    eta = _pickup_eta(ports, arrivals, ride, position, now)
    latest = None
    if eta is not None:
        latest = round(eta * ports.times.latest_factor(ride.zone, Kind.PICKUP))
    return LiveView(ride.status, ride.version, position, eta, latest, planned)


def _pickup_eta(
    ports: Hints, arrivals: Arrivals, ride: Ride, position: Position | None, now: datetime
) -> int | None:
    if ride.status is RideStatus.ARRIVED:
        return 0
    if ride.status is not RideStatus.MATCHED or position is None:
        return None
    eta = arrivals.pickup_eta(ride, position.location, now)
    return eta if eta <= BELIEVED_CAPS * ports.rules.max_pickup_eta.total_seconds() else None
