"""What a unicorn does: take up or decline an offer, move its ride along, say where it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from service.core import effects
from service.core.ports import Ports
from service.core.transition import carry_out, change_unicorn
from service.model import (
    Position,
    Ride,
    RideStatus,
    Unicorn,
)
from service.model.errors import RideNotFound, UnicornNotFound


class Step(StrEnum):
    """What a unicorn may do with its ride, in order (decline instead of accept)."""

    ACCEPT = "accept"
    DECLINE = "decline"
    ARRIVE = "arrive"
    START = "start"
    COMPLETE = "complete"


_REACHES = {
    Step.ACCEPT: RideStatus.MATCHED,
    Step.ARRIVE: RideStatus.ARRIVED,
    Step.START: RideStatus.IN_PROGRESS,
    Step.COMPLETE: RideStatus.COMPLETED,
}


def advance(ports: Ports, step: Step, unicorn_id: str, ride_id: str, now: datetime) -> Ride:
    """Take the next step of the unicorn's own ride; repeating the last step changes nothing.

    Raises `RideNotFound` if the ride is not this unicorn's, `IllegalTransition` if the step is
    out of order.
    """

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if _already_taken(step, ride, unicorn_id):
            return ride, unicorn
        if ride.unicorn_id != unicorn_id:
            raise RideNotFound("no such ride of this unicorn")
        return _next_ride(ports, step, ride, now), _next_unicorn(step, unicorn, ride_id, now)

    ride, unicorn = ports.assignments.pair(ride_id, unicorn_id)
    if ride is None:
        raise RideNotFound("no such ride")
    return carry_out(ports, ride, decide, now, unicorn)


def _already_taken(step: Step, ride: Ride, unicorn_id: str) -> bool:
    if step is Step.DECLINE:
        return unicorn_id in ride.excluded and ride.status is RideStatus.REQUESTED
    return ride.unicorn_id == unicorn_id and ride.status is _REACHES[step]


def _next_ride(ports: Ports, step: Step, ride: Ride, now: datetime) -> Ride:
    match step:
        case Step.ACCEPT:
            return ride.accepted(now)
        case Step.DECLINE:
            return ride.returned(now, ports.rules.deadline)
        case Step.ARRIVE:
            return ride.arrived(now, ports.rules.no_show)
        case Step.START:
            return ride.started(now)
        case Step.COMPLETE:
            return ride.completed(now)


def _next_unicorn(
    step: Step, unicorn: Unicorn | None, ride_id: str, now: datetime
) -> Unicorn | None:
    if unicorn is None or step in {Step.ACCEPT, Step.ARRIVE}:
        return unicorn
    return unicorn.departed(ride_id, now) if step is Step.START else unicorn.released(ride_id)


def set_availability(
    ports: Ports,
    unicorn_id: str,
    accepting: bool,
    now: datetime,
    expected: Callable[[int], bool] = lambda _version: True,
) -> Unicorn:
    """On or off duty; during a ride only what comes after it changes.

    Raises `StaleVersion` unless the stored version is one `expected` by the caller.
    """
    unicorn = stored_unicorn(ports, unicorn_id)
    return change_unicorn(ports, unicorn, lambda u: u.with_availability(accepting), now, expected)


def record_position(ports: Ports, unicorn_id: str, position: Position, now: datetime) -> Unicorn:
    """Note where the unicorn is (an older position than the last is ignored).

    Costs no DynamoDB write, and a read only when the index forgot the unicorn's state.
    """
    sighting = ports.fleet.record(unicorn_id, position, now)
    unicorn = sighting.unicorn
    if unicorn is None:
        unicorn = stored_unicorn(ports, unicorn_id)
        ports.fleet.refresh(unicorn, now)
    if sighting.entered and unicorn.can_take_a_ride:
        effects.trigger_around(ports, [position.location])
    return unicorn


def stored_ride(ports: Ports, ride_id: str) -> Ride:
    ride = ports.rides.get(ride_id)
    if ride is None:
        raise RideNotFound("no such ride")
    return ride


def stored_unicorn(ports: Ports, unicorn_id: str) -> Unicorn:
    unicorn = ports.unicorns.get(unicorn_id)
    if unicorn is None:
        raise UnicornNotFound("no such unicorn")
    return unicorn
