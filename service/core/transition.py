"""The one write loop: read, decide, write conditionally; decide again after a lost write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from service.core import effects, legs
from service.core.ports import Stores, WriteConflict
from service.model import ASSIGNED, Ride, RideStatus, Unicorn
from service.model.errors import (
    IllegalTransition,
    RideNotFound,
    StaleVersion,
    Unavailable,
    UnicornNotFound,
)

ATTEMPTS = 4
"""The most attempts at one write. An attempt fails only if another writer has changed the same
item, so after this many lost writes too many writers compete: give up."""

Decide = Callable[[Ride, Unicorn | None], tuple[Ride, Unicorn | None]]
"""Takes the stored ride and its reserved unicorn, and returns what they become.

Returns the same ride if there is nothing to do; raises if the step is not legal.
"""


def stored_ride(ports: Stores, ride_id: str) -> Ride:
    ride = ports.rides.get(ride_id)
    if ride is None:
        raise RideNotFound("no such ride")
    return ride


def stored_unicorn(ports: Stores, unicorn_id: str) -> Unicorn:
    unicorn = ports.unicorns.get(unicorn_id)
    if unicorn is None:
        raise UnicornNotFound("no such unicorn")
    return unicorn


def carry_out(
    ports: Stores, ride: Ride, decide: Decide, now: datetime, unicorn: Unicorn | None = None
) -> Ride:
    """Apply `decide` to the ride and, if it has one, its unicorn, in one conditional write.

    `ride` may be out of date: then the condition fails, and `decide` is called again with what is
    stored. `unicorn`: the ride's unicorn, if the caller has read it. Raises what `decide` raises,
    and `Unavailable` after `ATTEMPTS` lost writes.
    """
    for _ in range(ATTEMPTS):
        unicorn = _of_ride(ports, ride, unicorn)
        try:
            ride_after, unicorn_after = decide(ride, unicorn)
        except IllegalTransition:
            # Ride and unicorn are read one after the other, so with a write in between they may be
            # a pair that never existed. A refusal counts only if it holds for the newest ride.
            newest = ports.rides.get(ride.ride_id)
            if newest is None or newest.version == ride.version:
                raise
            ride, unicorn = newest, None
            continue
        if ride_after is ride:
            return ride
        try:
            both = (unicorn, unicorn_after) if unicorn_after is not unicorn else (None, None)
            write(ports, (ride, ride_after), both)
        except WriteConflict as lost:
            ride, unicorn = lost.ride or ride, lost.unicorn or unicorn
            continue
        effects.after_write(ports, now, ride=ride_after, unicorn=unicorn_after)
        legs.record(ports, ride, ride_after, now)
        return ride_after
    raise Unavailable(f"ride {ride.ride_id} is being changed by too many at once")


def _of_ride(ports: Stores, ride: Ride, existing: Unicorn | None) -> Unicorn | None:
    """The ride's unicorn. Reads it unless `existing` is on the ride.

    None if the ride has no unicorn. None, too, if the stored unicorn is not on the ride: a pair
    that does not agree (because a table was restored) must not keep a ride open. If the unicorn was
    freed after the ride was read, the condition of the write fails, and `carry_out` decides again.
    """
    if ride.status not in ASSIGNED:
        return None
    pair = ride.unicorn_id, ride.ride_id
    if existing is None or (existing.unicorn_id, existing.ride_id) != pair:
        existing = ports.unicorns.get(ride.unicorn_id or "")
    return existing if existing and existing.ride_id == ride.ride_id else None


def freed(unicorn: Unicorn | None, ride: Ride, now: datetime) -> Unicorn | None:
    """The unicorn without this ride, which its rider or staff takes from it."""
    return unicorn and unicorn.released(
        ride.ride_id, now, withdrawn=ride.status is RideStatus.OFFERED
    )


def change_unicorn(
    ports: Stores,
    unicorn: Unicorn,
    step: Callable[[Unicorn], Unicorn],
    now: datetime,
    precondition: Callable[[int], bool] = lambda _version: True,
) -> Unicorn:
    """Apply `step` to a unicorn alone; nothing is written if `step` returns its argument.

    Raises `StaleVersion` unless `precondition` accepts the stored version, and `Unavailable` after
    `ATTEMPTS` lost writes.
    """
    for _ in range(ATTEMPTS):
        if not precondition(unicorn.version):
            raise StaleVersion(f"the unicorn is at version {unicorn.version} by now")
        after = step(unicorn)
        if after is unicorn:
            return unicorn
        try:
            ports.unicorns.save(unicorn, after)
        except WriteConflict as lost:
            unicorn = lost.unicorn or unicorn
            continue
        effects.after_write(ports, now, ride=None, unicorn=after)
        return after
    raise Unavailable(f"unicorn {unicorn.unicorn_id} is being changed by too many at once")


def write(
    ports: Stores,
    ride: tuple[Ride | None, Ride | None],
    unicorn: tuple[Unicorn | None, Unicorn | None],
) -> None:
    """Write the sides that exist. If both exist, one transaction holds both: an unchanged side is
    then a condition only."""
    match ride, unicorn:
        case (Ride() as before, Ride() as after), (Unicorn() as was, Unicorn() as becomes):
            ports.assignments.commit((before, after), (was, becomes))
        case (Ride() as before, Ride() as after), _:
            ports.rides.save(before, after)
        case _, (Unicorn() as was, Unicorn() as becomes):
            ports.unicorns.save(was, becomes)
