"""Rides on which worker processes die: tried alone, then set aside; an operator can replay them.

A suspect is a ride that waited in a zone whose job died in a round; one of these rides may have
killed it. (A job that lost its lease counts as dead, too.) A round tries each suspect alone. It
counts the attempt first, so that the count outlives the process. A ride that was tried and killed
nothing is cleared. An exception is not a death: a round that raises one clears its rides, except
those that were suspects before (`RoundLease.release_after_error`).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from service.core.ports import DeadLetters, RoundLease, Stores
from service.core.transition import carry_out
from service.model import ERASED, Ride, RideStatus, RideStep, Unicorn
from service.model.errors import DeadLetterNotFound, Unavailable
from service.model.operations import DeadLetter, DeadLetterKind

logger = logging.getLogger(__name__)

DEATHS_ALONE: Final = 2
"""How many processes a ride may kill while it is tried alone, before it is set aside. One death may
be a coincidence. Each death costs the ride's zone a few seconds."""

CAUSE: Final = f"{1 + DEATHS_ALONE} processes died on this ride, {DEATHS_ALONE} of them on it alone"

ENTRIES: Final = uuid.UUID("0d0a5f0e-9d0c-4c53-8a86-3a1f5c2a7e11")
"""Namespace of the ids of letters about unreadable entries. Only the previous release writes them.
"""


def try_suspects(
    ports: Stores,
    letters: DeadLetters,
    lease: RoundLease,
    rides: Sequence[Ride],
    deaths: Mapping[str, int],
    try_alone: Callable[[Ride], object],
    now: Callable[[], datetime],
    is_time_up: Callable[[], bool],
) -> bool:
    """Try each ride alone, those with the fewest deaths first; False if the time is up first.

    `deaths`: the number of processes that died on each ride alone. `try_alone` pairs and claims one
    ride.
    """
    for ride in sorted(rides, key=lambda ride: deaths[ride.ride_id]):
        if is_time_up():
            return False
        if deaths[ride.ride_id] >= DEATHS_ALONE:
            try:
                set_aside_ride(ports, letters, ride, now())
            except Unavailable as error:
                # Still a suspect: the next round tries to set it aside again.
                logger.warning("ride not set aside", extra={"cause": str(error)})
                continue
        else:
            logger.warning("suspect tried alone", extra={"ride_id": ride.ride_id})
            lease.try_alone(ride.ride_id)
            _outlive(ride, try_alone)
        lease.clear(ride.ride_id)
    return True


def _outlive(ride: Ride, try_alone: Callable[[Ride], object]) -> None:
    """Try one ride. An exception is not a death, so the caller clears the ride then too."""
    try:
        try_alone(ride)
    except Exception:
        logger.exception("round of a suspect failed", extra={"ride_id": ride.ride_id})


def set_aside_ride(ports: Stores, letters: DeadLetters, ride: Ride, now: datetime) -> None:
    """Set a ride that kills worker processes to `unmatched`, and keep a dead letter for operators.

    The letter is written first, so that no ride ends without one. At worst there is a letter for a
    ride that is still tried.
    """
    letter = DeadLetter(
        dead_letter_id=f"ride-{ride.ride_id}",
        kind=DeadLetterKind.RIDE,
        cause=CAUSE,
        set_aside_at=now,
        ride_id=ride.ride_id,
        zone=ride.zone,
    )
    letters.put(letter)
    logger.error(
        "ride set aside as dead letter",
        extra={"dead_letter_id": letter.dead_letter_id, "ride_id": ride.ride_id, "cause": CAUSE},
    )

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is not RideStatus.REQUESTED:
            return ride, unicorn
        return ride.unmatched(now, RideStep.SET_ASIDE), unicorn

    carry_out(ports, ride, decide, now)


def replay(ports: Stores, letters: DeadLetters, dead_letter_id: str, now: datetime) -> DeadLetter:
    """Request the ride of a dead letter again, with a new deadline.

    Requests the ride only if it is `unmatched`. A ride that ends unmatched again can be replayed
    again. A letter of a kind that is no longer written is only noted as replayed.
    Raises `DeadLetterNotFound`, also if the ride's rider was erased.
    """
    letter = letters.get(dead_letter_id)
    if letter is None:
        raise DeadLetterNotFound("no such dead letter")
    is_ride = letter.kind is DeadLetterKind.RIDE and letter.ride_id is not None
    did_something = is_ride and _replay_ride(ports, letter.ride_id or "", now)
    if did_something or letter.replayed_at is None:
        letter = replace(letter, replayed_at=now)
        try:
            letters.mark_replayed(letter, now)
        except Unavailable as error:
            # The ride is requested already; a letter that does not say so does no harm.
            logger.warning("replay not noted", extra={"cause": str(error)})
    return letter


def letters_about(ride_id: str) -> Sequence[str]:
    """The ids that letters about this ride can have."""
    return f"ride-{ride_id}", f"entry-{uuid.uuid5(ENTRIES, ride_id)}"


def _replay_ride(ports: Stores, ride_id: str, now: datetime) -> bool:
    """Request the ride again; returns whether it was `unmatched`."""
    ride = ports.rides.get(ride_id)
    if ride is None:
        return False
    if ride.rider_id == ERASED:
        raise DeadLetterNotFound("the rider was erased, so the ride cannot be requested again")

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is not RideStatus.UNMATCHED:
            return ride, unicorn
        return ride.replayed(now, ports.rules.match_within), unicorn

    return carry_out(ports, ride, decide, now).version != ride.version
