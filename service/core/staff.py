"""What admins do: cancel or reassign anyone's ride, take a unicorn out of the fleet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from service.core.ports import Ports
from service.core.transition import carry_out, change_unicorn
from service.core.unicorns import stored_ride, stored_unicorn
from service.model import (
    CanceledBy,
    Ride,
    RideStatus,
    Unicorn,
)


def cancel_as_admin(ports: Ports, ride_id: str, reason: str | None, now: datetime) -> Ride:
    """Cancel a ride in any open state and free its unicorn; canceling again changes nothing.

    Raises `RideNotFound`, `NotCancelable` once the ride is completed or unmatched.
    """

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is RideStatus.CANCELED:
            return ride, unicorn
        canceled = ride.canceled(CanceledBy.ADMIN, reason, now)
        return canceled, unicorn and unicorn.released(ride_id)

    return carry_out(ports, stored_ride(ports, ride_id), decide, now)


def reassign_ride(ports: Ports, ride_id: str, now: datetime) -> Ride:
    """Take the ride from its unicorn, which is freed and never gets this ride again.

    Raises `RideNotFound`, `IllegalTransition` if the ride has no unicorn or is in progress.
    """
    seen = stored_ride(ports, ride_id)

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.unicorn_id != seen.unicorn_id:
            # It has lost that unicorn meanwhile; the next one has done nothing wrong.
            return ride, unicorn
        returned = ride.returned(now, ports.rules.deadline)
        return returned, unicorn and unicorn.released(ride_id)

    return carry_out(ports, seen, decide, now)


def remove_unicorn(
    ports: Ports,
    unicorn_id: str,
    now: datetime,
    expected: Callable[[int], bool] = lambda _version: True,
) -> None:
    """Take the unicorn out of the fleet for good, if its version is as `expected`.

    Its account is free to drive another unicorn, its id is never used again. Raises
    `UnicornNotFound`, `StaleVersion`, `UnicornBusy` while it has a ride.
    """
    change_unicorn(ports, stored_unicorn(ports, unicorn_id), Unicorn.removed, now, expected)
