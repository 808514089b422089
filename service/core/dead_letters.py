"""What cannot be worked on is set aside with its cause, and can be tried again by an operator."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from service.core import effects
from service.core.ports import Ports
from service.core.transition import carry_out
from service.model import ERASED, Ride, RideStatus, Unicorn
from service.model.errors import DeadLetterNotFound, Unavailable
from service.model.operations import DeadLetter, DeadLetterKind

logger = logging.getLogger(__name__)

EXCERPT: Final = 1024
"""Characters kept of what cannot be read: enough to tell what it is."""

ENTRIES: Final = uuid.UUID("0d0a5f0e-9d0c-4c53-8a86-3a1f5c2a7e11")
"""Namespace of the ids of entries (RFC 9562, UUIDv5): what they are named is anybody's guess."""

LONGEST_ID: Final = 100
"""Characters kept of the name of such a thing; a ride's own id is far shorter."""


def set_aside_ride(ports: Ports, ride: Ride, cause: str, now: datetime) -> None:
    """End a ride that nobody can work on as `unmatched`, and keep it for an operator.

    The letter is written first: at worst there is one for a ride that is still tried.
    """
    letter = DeadLetter(
        dead_letter_id=f"ride-{ride.ride_id}",
        kind=DeadLetterKind.RIDE,
        cause=cause,
        set_aside_at=now,
        ride_id=ride.ride_id,
        zone=ride.zone,
    )
    _keep(ports, letter)

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is not RideStatus.REQUESTED:
            return ride, unicorn
        return ride.unmatched(), unicorn

    carry_out(ports, ride, decide, now)


def set_aside_entry(ports: Ports, zone: str, ride_id: str, content: str, now: datetime) -> None:
    """Take an unreadable waiting ride out of its zone; if it is open, the sweep adds it again."""
    letter = DeadLetter(
        dead_letter_id=f"entry-{uuid.uuid5(ENTRIES, ride_id)}",
        kind=DeadLetterKind.ENTRY,
        cause="an unreadable entry among the waiting rides",
        set_aside_at=now,
        ride_id=ride_id[:LONGEST_ID],
        zone=zone,
        excerpt=content[:EXCERPT],
    )
    _keep(ports, letter)
    ports.waiting.discard(zone, [ride_id])


def message_letter(content: str, cause: str, now: datetime) -> DeadLetter:
    """A broker message that no worker can make sense of, as a dead letter."""
    return DeadLetter(
        dead_letter_id=f"message-{uuid.uuid4()}",
        kind=DeadLetterKind.MESSAGE,
        cause=cause,
        set_aside_at=now,
        excerpt=content[:EXCERPT],
    )


def replay(ports: Ports, dead_letter_id: str, now: datetime) -> DeadLetter:
    """Try again what was set aside: an `unmatched` ride is requested with a fresh deadline.

    That may be done again when the ride ends unmatched again. Nothing happens to a ride in any
    other state. A message is only noted as dealt with: what it asked for, the sweep has found
    since. Raises `DeadLetterNotFound`, also for a ride whose rider was forgotten.
    """
    letter = ports.dead_letters.get(dead_letter_id)
    if letter is None:
        raise DeadLetterNotFound("no such dead letter")
    did_something = letter.ride_id is not None and _replay_ride(
        ports, letter.ride_id, letter.kind, now
    )
    if did_something or letter.replayed_at is None:
        letter = replace(letter, replayed_at=now)
        try:
            ports.dead_letters.mark_replayed(letter, now)
        except Unavailable as error:
            # The ride is requested already; that the letter does not say so harms nobody.
            logger.warning("replay not noted", extra={"cause": str(error)})
    return letter


def letters_about(ride_id: str) -> Sequence[str]:
    """The ids that letters about a ride have, if there are any."""
    return f"ride-{ride_id}", f"entry-{uuid.uuid5(ENTRIES, ride_id)}"


def _replay_ride(ports: Ports, ride_id: str, kind: DeadLetterKind, now: datetime) -> bool:
    """Whether there was something to do."""
    ride = ports.rides.get(ride_id)
    if ride is None:
        return False
    if ride.rider_id == ERASED:
        raise DeadLetterNotFound("the rider was forgotten, so there is nobody to dispatch for")

    def decide(ride: Ride, unicorn: Unicorn | None) -> tuple[Ride, Unicorn | None]:
        if ride.status is not RideStatus.UNMATCHED:
            return ride, unicorn
        return ride.replayed(now, ports.rules.deadline), unicorn

    if kind is DeadLetterKind.RIDE:
        return carry_out(ports, ride, decide, now).version != ride.version
    if ride.status is RideStatus.REQUESTED:
        effects.trigger_ride(ports, ride)
        return True
    return False


def _keep(ports: Ports, letter: DeadLetter) -> None:
    ports.dead_letters.put(letter)
    logger.error(
        "set aside",
        extra={
            "dead_letter_id": letter.dead_letter_id,
            "ride_id": letter.ride_id,
            "cause": letter.cause,
        },
    )
