"""Use cases of staff: read lists, change rides and the fleet, pause dispatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.core import effects
from service.core.city_map import CityMap
from service.core.ports import AuditLog, Queues, RideHistory, Roster, Stores, Workers
from service.core.positions import record_position
from service.core.rides import cancel
from service.core.statistics import Statistics
from service.core.transition import carry_out, change_unicorn, freed, stored_ride, stored_unicorn
from service.core.unicorns import LocatedUnicorn, decline_offer, view
from service.model import WORLD, CanceledBy, Location, Position, Ride, RideStatus, RideStep, Unicorn
from service.model.errors import Unavailable
from service.model.operations import DispatchState

WAITING_DUE_WITHIN: Final = timedelta(seconds=10)
"""A waiting ride is due for the sweep within this time, because the sweep triggers it every 4 s
(`timeouts.RETRY_EVERY`), unless the sweep failed on it."""
MOST_READ: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight:
    """The stores that only operators use."""

    history: RideHistory
    roster: Roster
    workers: Workers
    queues: Queues
    audit: AuditLog
    city: CityMap
    statistics: Statistics


def cancel_as_admin(ports: Stores, ride_id: str, reason: str | None, now: datetime) -> Ride:
    """Cancel a ride in any open state and free its unicorn; repeating it changes nothing.

    Raises `RideNotFound`, `NotCancelable` once the ride is completed or unmatched.
    """
    return cancel(ports, stored_ride(ports, ride_id), CanceledBy.ADMIN, reason, now)


def reassign_ride(ports: Stores, ride_id: str, now: datetime) -> Ride:
    """Take the ride from its unicorn, which is freed and never gets this ride again.

    Raises `RideNotFound`, `IllegalTransition` if the ride has no unicorn or is in progress.
    """
    seen = stored_ride(ports, ride_id)

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.unicorn_id != seen.unicorn_id:
            # The ride has lost that unicorn meanwhile; do not take it from the next one.
            return ride, unicorn
        returned = ride.returned(now, ports.rules.match_within, RideStep.REASSIGNED)
        return returned, freed(unicorn, ride, now)

    return carry_out(ports, seen, decide, now)


def enroll(
    ports: Stores, unicorn: Unicorn, location: Location | None, now: datetime
) -> LocatedUnicorn:
    """Add a unicorn to the fleet; it is `non_operational` until someone makes it available.

    A location counts as a position reported now. Raises `UnicornExists`, `AccountTaken`.
    """
    ports.unicorns.create(unicorn)
    if location:
        # A failure here does not matter: the unicorn is enrolled and sends its position again.
        with suppress(Unavailable):
            record_position(ports, unicorn.unicorn_id, Position(location, now), now)
    return view(ports, unicorn, now)


def amend(
    ports: Stores,
    unicorn_id: str,
    particulars: Mapping[str, object],
    accepting: bool | None,
    now: datetime,
    precondition: Callable[[int], bool],
) -> Unicorn:
    """Change a unicorn's fields and whether it is on duty, if `precondition` accepts its version.

    Raises `UnicornNotFound`, `StaleVersion`, `AccountTaken`, `IllegalTransition` once removed.
    """
    unicorn = stored_unicorn(ports, unicorn_id)
    if accepting is False and unicorn.ride_id and particulars:
        # The particulars go first and alone: if they are refused (`AccountTaken`), no offer may
        # have been declined. `accepting` is left to the decline, so that going off duty alone makes
        # one version, not two.
        renamed = change_unicorn(
            ports, unicorn, lambda stored: stored.amended(particulars, None, now), now, precondition
        )
        unicorn, precondition = renamed, lambda _version: True
    if accepting is False and decline_offer(ports, unicorn, now, precondition):
        unicorn, precondition = stored_unicorn(ports, unicorn_id), lambda _version: True
    return change_unicorn(
        ports,
        unicorn,
        lambda stored: stored.amended(particulars, accepting, now),
        now,
        precondition,
    )


def remove_unicorn(
    ports: Stores,
    unicorn_id: str,
    now: datetime,
    precondition: Callable[[int], bool] = lambda _version: True,
) -> None:
    """Remove a unicorn for good, if `precondition` accepts its version.

    Its account may drive another unicorn; its id is never used again. Raises
    `UnicornNotFound`, `StaleVersion`, `UnicornBusy` while it has a ride.
    """
    change_unicorn(ports, stored_unicorn(ports, unicorn_id), Unicorn.removed, now, precondition)


def set_pause(ports: Stores, zone: str | None, paused: bool, now: datetime) -> DispatchState:
    """Pause or resume a zone or everything; after a resume, waiting rides are triggered at once.

    Raises `Unavailable` only if the change was not stored.
    """
    state = ports.control.set_paused(zone, paused)
    if not paused:
        # Rides that are not triggered here are triggered by the sweep within seconds.
        with suppress(Unavailable):
            waiting = [r for r in waiting_rides(ports, now) if not state.is_paused(r.zone)]
            effects.trigger_rides(ports, waiting)
    return state


def waiting_rides(ports: Stores, now: datetime) -> Sequence[Ride]:
    """The waiting rides among the `MOST_READ` rides that are due soonest."""
    due = ports.rides.due(now + WAITING_DUE_WITHIN, MOST_READ)
    return [ride for ride in due if ride.status is RideStatus.REQUESTED]


def oldest_waiting(city: CityMap, now: datetime) -> timedelta | None:
    """How long the oldest waiting ride has waited; None if no ride is waiting.

    Raises `Unavailable`.
    """
    return max((now - ride.requested_at for ride, _ in city.waiting(WORLD, 1)), default=None)
