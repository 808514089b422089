"""The fleet as its admins and its unicorns see it: enrol, look up, and who an account drives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from service.core.ports import Ports
from service.core.transition import change_unicorn
from service.core.unicorns import record_position, stored_unicorn
from service.model import (
    Location,
    Position,
    Ride,
    Unicorn,
    UnicornState,
)
from service.model.errors import Unavailable, UnicornNotFound


@dataclass(frozen=True, slots=True)
class UnicornView:
    """A unicorn as it is shown: stored, but `non_contactable` when nothing was heard of it."""

    unicorn: Unicorn
    position: Position | None


def enroll(ports: Ports, unicorn: Unicorn, location: Location | None, now: datetime) -> UnicornView:
    """Add a unicorn to the fleet; it is `non_operational` until someone makes it available.

    A location counts as a position now. Raises `UnicornExists`, `AccountTaken`.
    """
    ports.unicorns.create(unicorn)
    if location:
        # The unicorn is enrolled whatever becomes of this: it will send its position again.
        with suppress(Unavailable):
            record_position(ports, unicorn.unicorn_id, Position(location, now), now)
    return view(ports, unicorn, now)


def amend(
    ports: Ports,
    unicorn_id: str,
    particulars: Mapping[str, object],
    accepting: bool | None,
    now: datetime,
    expected: Callable[[int], bool],
) -> Unicorn:
    """Change a unicorn's particulars and whether it is on duty, if the version is as `expected`.

    Raises `UnicornNotFound`, `StaleVersion`, `AccountTaken`, `IllegalTransition` once removed.
    """
    unicorn = stored_unicorn(ports, unicorn_id)
    return change_unicorn(
        ports, unicorn, lambda stored: stored.amended(particulars, accepting), now, expected
    )


def unicorn_of(ports: Ports, account_sub: str) -> str:
    """The id of the unicorn this account drives."""
    unicorn_id = ports.unicorns.of_account(account_sub)
    if unicorn_id is None:
        raise UnicornNotFound("this account drives no unicorn")
    return unicorn_id


def view(ports: Ports, unicorn: Unicorn, now: datetime) -> UnicornView:
    """The unicorn with its last fresh position."""
    try:
        position = ports.fleet.position(unicorn.unicorn_id, now)
        silent = position is None and ports.fleet.silent_for(unicorn.unicorn_id, now)
    except Unavailable:
        return UnicornView(unicorn, None)
    if silent and silent > ports.rules.stale and unicorn.state in CONTACTABLE:
        unicorn = replace(unicorn, state=UnicornState.NON_CONTACTABLE)
    return UnicornView(unicorn, position)


CONTACTABLE = frozenset({UnicornState.AVAILABLE, UnicornState.RESERVED, UnicornState.ON_TRIP})
"""States in which a unicorn is expected to send positions."""


def ride_of(ports: Ports, unicorn: Unicorn) -> Ride | None:
    """The ride the unicorn is reserved for."""
    ride = ports.rides.get(unicorn.ride_id) if unicorn.ride_id else None
    # Read after the unicorn: by now the ride may be another one's.
    return ride if ride and ride.unicorn_id == unicorn.unicorn_id else None
