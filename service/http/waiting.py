"""Requests that wait for news: they do not count as load, and end when the process is to stop."""

from __future__ import annotations

from collections.abc import Callable

from service.core import watch
from service.http import headers
from service.http.context import dependencies
from service.http.gate import gate
from service.model import Ride, Unicorn


def granted_wait() -> int | None:
    """Seconds of `Prefer: wait` if there is room to wait; a preference may be left aside."""
    return headers.preferred_wait() if gate().has_room_to_wait else None


def wait_for_ride(ride: Ride, done: Callable[[Ride], bool], seconds: float) -> Ride:
    """The ride when `done` holds of it, the time is up or the process is to stop."""
    deps, here = dependencies(), gate()
    with here.waiting():
        return watch.wait_for_ride(
            deps.ports, ride, lambda it: here.is_stopping or done(it), seconds, deps.monotonic
        )


def wait_for_unicorn(unicorn: Unicorn, done: Callable[[Unicorn], bool], seconds: float) -> Unicorn:
    """The unicorn when `done` holds of it, the time is up or the process is to stop."""
    deps, here = dependencies(), gate()
    with here.waiting():
        return watch.wait_for_unicorn(
            deps.ports, unicorn, lambda it: here.is_stopping or done(it), seconds, deps.monotonic
        )
