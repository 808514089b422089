"""Rides and unicorns as compact JSON, for stores that keep copies and may lose them.

Each entry carries a schema version; raise `SCHEMA` when a reader of the old form would
misunderstand the new one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from service.model import (
    Location,
    Position,
    Ride,
    Unicorn,
)
from service.observability import traces
from service.stores.records import Record, record_of, value_of

SCHEMA: Final = 1


class UnknownSchema(ValueError):
    """The entry was written by a release this one does not understand."""


UNREADABLE: Final = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    RecursionError,
)
"""What loading an entry raises that this release cannot make sense of."""


def dump_ride(ride: Ride) -> str:
    """The ride without its `note`: personal text stays in the one store that is the truth.

    With the request's trace, if there is one, so that the ride's claim can be linked to it.
    """
    record = record_of(ride)
    record.pop("note", None)
    record |= traces.carrier()
    return _dump(record)


def load_ride(text: str) -> Ride:
    record = _load(text)
    ride = value_of(Ride, record)
    traces.remember(ride.ride_id, record.get("traceparent"))
    return ride


def dump_unicorn(unicorn: Unicorn) -> str:
    return _dump(record_of(unicorn))


def load_unicorn(text: str) -> Unicorn:
    return value_of(Unicorn, _load(text))


def dump_position(position: Position) -> str:
    """Schema, recorded (ms), latitude, longitude, heading, speed: the shortest, it is the most."""
    where, recorded = position.location, int(position.recorded_at.timestamp() * 1000)
    return json.dumps(
        [1, recorded, where.latitude, where.longitude, position.heading, position.speed]
    )


def load_position(text: str | None) -> Position | None:
    if text is None:
        return None
    _, recorded, latitude, longitude, heading, speed = json.loads(text)
    recorded_at = datetime.fromtimestamp(recorded / 1000, UTC)
    return Position(Location(latitude, longitude), recorded_at, heading, speed)


def _dump(record: Record) -> str:
    return json.dumps([SCHEMA, record], separators=(",", ":"))


def _load(text: str) -> Record:
    schema, record = json.loads(text)
    if schema != SCHEMA:
        raise UnknownSchema(f"entry of schema {schema}, expected {SCHEMA}")
    loaded: Record = record
    return loaded
