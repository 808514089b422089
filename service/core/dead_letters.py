"""Sets aside a ride on which worker processes die; an operator can replay it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from service.core.ports import DeadLetters, Stores
from service.core.transition import carry_out
from service.model import ERASED, Ride, RideStatus, RideStep, Unicorn
from service.model.errors import DeadLetterNotFound, Unavailable
from service.model.operations import DeadLetter, DeadLetterKind

logger = logging.getLogger(__name__)


ENTRIES: Final = uuid.UUID("0d0a5f0e-9d0c-4c53-8a86-3a1f5c2a7e11")
"""Namespace of the ids of letters about unreadable entries. Only the previous release writes them.
"""


def set_aside_ride(
    ports: Stores, letters: DeadLetters, ride: Ride, cause: str, now: datetime
) -> None:
    """End a ride that kills workers as `unmatched`, and keep a dead letter for operators.

    The letter is written first, so that no ride ends without one. At worst there is a letter for a
    ride that is still tried.
    """
    letter = DeadLetter(
        dead_letter_id=f"ride-{ride.ride_id}",
        kind=DeadLetterKind.RIDE,
        cause=cause,
        set_aside_at=now,
        ride_id=ride.ride_id,
        zone=ride.zone,
    )
    _keep(letters, letter)

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is not RideStatus.REQUESTED:
            return ride, unicorn
        return ride.unmatched(now, RideStep.SET_ASIDE), unicorn

    carry_out(ports, ride, decide, now)


def replay(ports: Stores, letters: DeadLetters, dead_letter_id: str, now: datetime) -> DeadLetter:
    """Request the ride of a dead letter again, with a new deadline.

    Requests the ride only if it is `unmatched`; replaying works as often as the ride ends unmatched
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
        raise DeadLetterNotFound("the rider was forgotten, so there is nobody to dispatch for")

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is not RideStatus.UNMATCHED:
            return ride, unicorn
        return ride.replayed(now, ports.rules.match_within), unicorn

    return carry_out(ports, ride, decide, now).version != ride.version


def _keep(letters: DeadLetters, letter: DeadLetter) -> None:
    letters.put(letter)
    logger.error(
        "ride set aside as dead letter",
        extra={
            "dead_letter_id": letter.dead_letter_id,
            "ride_id": letter.ride_id,
            "cause": letter.cause,
        },
    )
