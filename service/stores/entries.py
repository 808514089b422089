"""Entries of stores that keep copies and may lose them: rides, unicorns, plans and more, as text.

All but a place in line are JSON with a schema version. Increase `SCHEMA` if a reader of the old
form would misunderstand the new one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from service.model import (
    Advice,
    AdviceReason,
    Location,
    Pairing,
    Position,
    Ride,
    RideStatus,
    Unicorn,
)
from service.model.field_kinds import TEXT, defaults
from service.observability import traces
from service.observability.instruments import UNREADABLE_ENTRIES
from service.stores.records import (
    UNREADABLE,
    Record,
    instant_at,
    instant_of,
    instant_text,
    millis,
    record_of,
    value_of,
)

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

SCHEMA: Final = 1


class UnknownSchema(ValueError):
    """The entry has a schema that this release does not know."""


def readable(kind: str, load: Callable[..., Value], *entry: str | None) -> Value | None:
    """The value that `load` reads from an entry; None if this release cannot read it.

    `entry`: the arguments of `load`, the text last; without a text the result is None. An entry of
    another release's schema is left out in silence. Any other unreadable entry is counted and
    logged without its content, which may be personal. `kind`: one of `instruments.ENTRY_KINDS`.
    """
    if not entry[-1]:
        return None
    try:
        return load(*entry)
    except UnknownSchema:
        return None
    except UNREADABLE as error:
        note_unreadable(kind, error)
        return None


def note_unreadable(kind: str, error: Exception) -> None:
    """Count and log an unreadable entry, without its content."""
    UNREADABLE_ENTRIES.labels(kind).inc()
    logger.error("unreadable entry", extra={"kind": kind, "cause": type(error).__name__})


def dump_ride(ride: Ride) -> str:
    """The ride without the texts that people wrote, because these stay in DynamoDB only.

    The entry also has the request's trace, if there is one, so that the ride's claim can be linked
    to it.
    """
    record = record_of(ride)
    for text in defaults(Ride, TEXT):
        record.pop(text, None)
    record |= traces.carrier()
    return _dump(record)


def load_ride(text: str) -> Ride:
    return value_of(Ride, _load(text))


def trace_of(text: str) -> str | None:
    """The trace of the request that wrote this entry of a ride; None without one."""
    return _load(text).get("traceparent")


def load_waiting_ride(zone: str, ride_id: str, text: str) -> Ride:
    """The ride of an entry in a zone's waiting set. Raises `ValueError` if it is another ride."""
    ride = load_ride(text)
    if (ride.zone, ride.ride_id, ride.status) != (zone, ride_id, RideStatus.REQUESTED):
        raise ValueError("the entry of another ride")
    return ride


def dump_place(place: tuple[datetime, str]) -> str:
    requested_at, ride_id = place
    return f"{instant_text(requested_at)} {ride_id}"


def load_place(text: str) -> tuple[datetime, str]:
    requested_at, ride_id = text.split(" ", 1)
    return instant_of(requested_at), ride_id


def dump_plan(plan: Pairing) -> str:
    return json.dumps(
        [SCHEMA, plan.unicorn_id, plan.pickup_eta_seconds, plan.pickup_distance_metres]
    )


def load_plan(ride_id: str, text: str) -> Pairing:
    unicorn_id, eta, distance = load_list(text)
    return Pairing(ride_id, str(unicorn_id), int(eta), int(distance))


def dump_unicorn(unicorn: Unicorn) -> str:
    return _dump(record_of(unicorn))


# Each round reads the same unicorns, whose states seldom change: a third of a search's CPU.
@lru_cache(10_000)
def load_unicorn(text: str) -> Unicorn:
    return value_of(Unicorn, _load(text))


def unicorn_of(text: str | None) -> Unicorn | None:
    """The unicorn of an entry; None if there is no text, or if it cannot be read."""
    return readable("unicorn", load_unicorn, text)


def dump_position(position: Position) -> str:
    """A list of schema, recorded (ms), latitude, longitude, heading and speed.

    Positions are the most frequent entries, so they have the shortest form.
    """
    where, recorded = position.location, millis(position.recorded_at)
    heading, speed = (
        "null" if each is None else each for each in (position.heading, position.speed)
    )
    # Ten times as fast as `json.dumps`. An f-string writes finite floats as JSON does.
    return f"[{SCHEMA}, {recorded}, {where.latitude}, {where.longitude}, {heading}, {speed}]"


def load_position(text: str) -> Position:
    recorded, latitude, longitude, heading, speed = load_list(text)
    return Position(Location(latitude, longitude), instant_at(recorded), heading, speed)


def position_of(text: str | None) -> Position | None:
    """The position of an entry; None if there is no text, or if it cannot be read."""
    return readable("position", load_position, text)


def dump_advice(advice: Advice) -> str:
    at, given, expires = advice.location, advice.given_at, advice.expires_at
    place = advice.cell, at.latitude, at.longitude
    return json.dumps([SCHEMA, *place, millis(given), millis(expires), advice.reason])


def load_advice(unicorn_id: str, text: str) -> Advice:
    cell, latitude, longitude, given, expires, reason = load_list(text)
    at, instants = Location(latitude, longitude), (instant_at(given), instant_at(expires))
    return Advice(unicorn_id, str(cell), at, *instants, AdviceReason(reason))


def _dump(record: Record) -> str:
    return json.dumps([SCHEMA, record], separators=(",", ":"))


def _load(text: str) -> Record:
    [record] = load_list(text)
    loaded: Record = record
    return loaded


def load_list(text: str) -> list[Any]:
    """The parts of an entry that is a list beginning with its schema. Raises `UnknownSchema`."""
    parts: list[Any]
    schema, *parts = json.loads(text)
    if schema != SCHEMA:
        raise UnknownSchema(f"entry of schema {schema}, expected {SCHEMA}")
    return parts
