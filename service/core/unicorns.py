"""Use cases of unicorns: accept or decline an offer, take a ride's steps, go on and off duty, wait
where advised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from service.core import geofence
from service.core.ports import FleetIndex, MoveMemory, Stores
from service.core.reconcile import mend
from service.core.transition import carry_out, change_unicorn, stored_ride, stored_unicorn
from service.model import (
    ASSIGNED,
    Advice,
    Location,
    Position,
    PositionProblem,
    Ride,
    RideStatus,
    Unicorn,
    UnicornState,
)
from service.model.errors import (
    IllegalTransition,
    RideNotFound,
    StaleVersion,
    TooFarAway,
    Unavailable,
    UnicornNotFound,
)


class Step(StrEnum):
    """The steps that a unicorn can take with its ride, in order. It accepts or declines."""

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


PLACED = frozenset({Step.ARRIVE, Step.COMPLETE})
"""Steps whose place is recorded. An arrival far from the pickup is refused."""

CONTACTABLE = frozenset({UnicornState.AVAILABLE, UnicornState.RESERVED, UnicornState.ON_TRIP})
"""States in which a unicorn is expected to send positions."""


@dataclass(frozen=True, slots=True)
class LocatedUnicorn:
    """A unicorn as it is shown: as stored, or as `non_contactable` (see `view`)."""

    unicorn: Unicorn
    position: Position | None
    position_problem: PositionProblem | None = None
    """Why its reports have all been ignored for a while."""
    ride_version: int | None = None
    """The version of its ride, if the fleet index knows it."""

    advice: Advice | None = None
    """Where it was told to wait, if it is idle."""

    @property
    def trouble(self) -> str:
        """The problem that is shown; empty if there is none.

        It changes without a new version of the unicorn.
        """
        if self.position_problem:
            return self.position_problem
        state = self.unicorn.state
        return state if state is UnicornState.NON_CONTACTABLE else ""


@dataclass(frozen=True, slots=True)
class UnicornAndRide:
    """A unicorn and its ride, as its driver sees them."""

    unicorn: Unicorn
    ride: Ride | None
    advice: Advice | None = None
    """Where the unicorn was told to wait, if it is idle."""

    @property
    def is_idle(self) -> bool:
        return self.unicorn.can_take_a_ride

    @property
    def ride_version(self) -> int | None:
        return self.ride.version if self.ride else None


def advance(
    ports: Stores,
    step: Step,
    unicorn_id: str,
    ride_id: str,
    now: datetime,
    sent: Position | None = None,
) -> Ride:
    """Take the next step of the unicorn's own ride; repeating the last step changes nothing.

    `sent`: the position that the unicorn sends with the step. Raises `RideNotFound` if the ride is
    not this unicorn's, `IllegalTransition` if the step is out of order, `TooFarAway` if the unicorn
    reports its arrival elsewhere.
    """
    at = geofence.place_of(ports, unicorn_id, sent, now) if step in PLACED else None

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if _already_taken(step, ride, unicorn_id):
            return ride, unicorn
        if ride.unicorn_id != unicorn_id:
            raise RideNotFound("no such ride of this unicorn")
        return _next_ride(ports, step, ride, at, now), _next_unicorn(step, unicorn, ride_id, now)

    ride = stored_ride(ports, ride_id)
    try:
        after = carry_out(ports, ride, decide, now, _as_last_known(ports, unicorn_id, now))
    except TooFarAway:
        geofence.note_refusal(ports, ride, now)
        raise
    return after.as_left_by(unicorn_id) if step is Step.DECLINE else after


def _as_last_known(ports: Stores, unicorn_id: str, now: datetime) -> Unicorn | None:
    """The unicorn as the fleet index knows it. If that is out of date and the step changes the
    unicorn, the write fails and `carry_out` decides again."""
    try:
        entry = ports.fleet.entries([unicorn_id], now).get(unicorn_id)
    except Unavailable:
        return None
    return entry.unicorn if entry else None


def _already_taken(step: Step, ride: Ride, unicorn_id: str) -> bool:
    if step is Step.DECLINE:
        # Even if another unicorn has the ride by now: a decline may be repeated.
        return unicorn_id in ride.declined
    return ride.unicorn_id == unicorn_id and ride.status is _REACHES[step]


def _next_ride(ports: Stores, step: Step, ride: Ride, at: Location | None, now: datetime) -> Ride:
    match step:
        case Step.ACCEPT:
            return ride.accepted(now)
        case Step.DECLINE:
            return ride.declined_by_unicorn(now, ports.rules.match_within)
        case Step.ARRIVE:
            return geofence.arrived(ports, ride, at, now)
        case Step.START:
            return ride.started(now, geofence.reached_at(ports, ride, now))
        case Step.COMPLETE:
            return ride.completed(now, geofence.metres_from(at, ride.dropoff))


def _next_unicorn(
    step: Step, unicorn: Unicorn | None, ride_id: str, now: datetime
) -> Unicorn | None:
    if unicorn is None and step is Step.START:
        raise IllegalTransition("the unicorn is not on this ride")
    if unicorn is None or step in {Step.ACCEPT, Step.ARRIVE}:
        return unicorn
    if step is Step.START:
        return unicorn.departed(ride_id, now)
    return unicorn.released(ride_id, now, waits_anew=step is Step.DECLINE)


def set_availability(ports: Stores, unicorn_id: str, accepting: bool, now: datetime) -> Unicorn:
    """Go on or off duty; a ride under way is finished first. Going off duty declines an offer.

    Raises `UnicornNotFound`, `IllegalTransition` once removed.
    """
    unicorn = stored_unicorn(ports, unicorn_id)
    if not accepting and decline_offer(ports, unicorn, now):
        return stored_unicorn(ports, unicorn_id)
    return change_unicorn(ports, unicorn, lambda u: u.with_availability(accepting, now), now)


def decline_offer(
    ports: Stores,
    unicorn: Unicorn,
    now: datetime,
    precondition: Callable[[int], bool] = lambda _version: True,
) -> bool:
    """Decline the ride that is offered to the unicorn and put the unicorn off duty, in one write.

    False if no ride is offered to it. Raises `StaleVersion` unless `precondition` accepts the
    stored version.
    """
    ride = ports.rides.get(unicorn.ride_id) if unicorn.ride_id else None
    if ride is None:
        return False

    def decide(ride: Ride, stored: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        is_offered = ride.status is RideStatus.OFFERED and ride.unicorn_id == unicorn.unicorn_id
        if not is_offered or stored is None:
            return ride, stored
        if not precondition(stored.version):
            raise StaleVersion(f"the unicorn is at version {stored.version} by now")
        off_duty = stored.released(ride.ride_id, now, waits_anew=True, keep_accepting=False)
        return ride.declined_by_unicorn(now, ports.rules.match_within), off_duty

    return unicorn.unicorn_id in carry_out(ports, ride, decide, now, unicorn).declined


def unicorn_id_of(ports: Stores, account_sub: str) -> str:
    """The id of the account's unicorn. Raises `UnicornNotFound`."""
    unicorn_id = ports.unicorns.of_account(account_sub)
    if unicorn_id is None:
        raise UnicornNotFound("this account drives no unicorn")
    return unicorn_id


def record_call(ports: Stores, account_sub: str, now: datetime) -> str:
    """Return the id of the account's unicorn, and record that its driver called.

    For calls that send no position. Raises `UnicornNotFound`.
    """
    unicorn_id = unicorn_id_of(ports, account_sub)
    # A failure does not matter: while Redis is away no unicorn counts as silent.
    with suppress(Unavailable):
        ports.fleet.hear(unicorn_id, now)
    return unicorn_id


def view(ports: Stores, unicorn: Unicorn, now: datetime) -> LocatedUnicorn:
    """The unicorn with its last fresh position. One remote call.

    It is contactable while its position is fresh. During a ride any of its calls counts, because a
    phone at rest may send no positions.
    """
    try:
        seen = ports.fleet.presence(unicorn.unicorn_id, now)
    except Unavailable:
        return LocatedUnicorn(unicorn, None)
    silence = seen.silence if unicorn.ride_id else seen.unplaced
    if seen.position is None and silence > ports.rules.stale_after and unicorn.state in CONTACTABLE:
        unicorn = replace(unicorn, state=UnicornState.NON_CONTACTABLE)
    advice = seen.advice if unicorn.can_take_a_ride else None
    return LocatedUnicorn(unicorn, seen.position, seen.problem, seen.ride_version, advice)


def with_advice(ports: Stores, both: UnicornAndRide, now: datetime) -> UnicornAndRide:
    """The unicorn and its ride, with the unicorn's advice; one call to Redis if it is idle."""
    return replace(both, advice=view(ports, both.unicorn, now).advice) if both.is_idle else both


def valid_advice(moves: MoveMemory, fleet: FleetIndex, now: datetime) -> Sequence[Advice]:
    """The valid advice to all idle unicorns, sorted by id. Three calls to Redis.

    Raises `Unavailable`.
    """
    advice = moves.advised(moves.zones(now), now)
    entries = fleet.entries([each.unicorn_id for each in advice], now)
    idle = {unicorn_id for unicorn_id, entry in entries.items() if entry.unicorn.can_take_a_ride}
    return [each for each in advice if each.unicorn_id in idle]


def with_ride(ports: Stores, unicorn: Unicorn, now: datetime) -> UnicornAndRide:
    """The unicorn with the ride for which it is reserved; one read if it has a ride.

    Repairs a reservation for a ride that is not the unicorn's.
    """
    if unicorn.ride_id is None:
        return UnicornAndRide(unicorn, None)
    ride = ports.rides.get(unicorn.ride_id)
    if ride and ride.status in ASSIGNED and ride.unicorn_id == unicorn.unicorn_id:
        return UnicornAndRide(unicorn, ride)
    # The unicorn lost the ride after it was read, or the two rows contradict each other.
    mend(ports, unicorn.ride_id, unicorn.unicorn_id, now)
    return UnicornAndRide(unicorn, None)
