"""Waiting for a ride or a unicorn to change without asking all the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from service.core.effects import ride_topic, unicorn_topic
from service.core.model import Ride, Unicorn
from service.core.ports import Ports

REREAD_SECONDS: Final = 5.0
"""Announcements may be lost: a waiter looks for itself this often."""

Watched = TypeVar("Watched", Ride, Unicorn)


def wait_for_ride(
    ports: Ports,
    ride: Ride,
    done: Callable[[Ride], bool],
    seconds: float,
    monotonic: Callable[[], float],
) -> Ride:
    """The ride as soon as `done` holds of it, or as it is when the time is up."""

    def read() -> Ride:
        return ports.rides.get(ride.ride_id) or ride

    return _wait(ports, ride_topic(ride.ride_id), read, done, seconds, monotonic)


def wait_for_unicorn(
    ports: Ports,
    unicorn: Unicorn,
    done: Callable[[Unicorn], bool],
    seconds: float,
    monotonic: Callable[[], float],
) -> Unicorn:
    """The unicorn as soon as `done` holds of it, or as it is when the time is up."""

    def read() -> Unicorn:
        return ports.unicorns.get(unicorn.unicorn_id) or unicorn

    return _wait(ports, unicorn_topic(unicorn.unicorn_id), read, done, seconds, monotonic)


def _wait(
    ports: Ports,
    topic: str,
    read: Callable[[], Watched],
    done: Callable[[Watched], bool],
    seconds: float,
    monotonic: Callable[[], float],
) -> Watched:
    # Listen first, read then: a change before the first read is seen by it, a later one wakes us.
    end = monotonic() + seconds
    with ports.changes.listen(topic) as listener:
        while True:
            value = read()
            left = end - monotonic()
            if left <= 0 or done(value):
                return value
            listener.wait(min(left, REREAD_SECONDS))
