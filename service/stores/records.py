"""Rides and unicorns as plain records, the one mapping that every store writes and reads.

A record is a dict of strings, numbers, booleans, lists of strings and records; what is none is
absent. Names are those of the model's fields. Instants are ISO 8601 in UTC with milliseconds
(`2026-11-23T02:46:28.123Z`), so that they sort as text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from service.model import (
    AssignedUnicorn,
    CanceledBy,
    Location,
    Rating,
    Ride,
    RideStatus,
    Trip,
    Unicorn,
    UnicornState,
)

Record = dict[str, Any]
Given = TypeVar("Given")
Made = TypeVar("Made")


def instant_text(instant: datetime) -> str:
    """Text of a timezone-aware instant; finer than a millisecond is cut off."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def instant_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ride_record(ride: Ride) -> Record:
    return _present(
        {
            "ride_id": ride.ride_id,
            "rider_id": ride.rider_id,
            "pickup": _location_record(ride.pickup),
            "zone": ride.zone,
            "requested_at": instant_text(ride.requested_at),
            "deadline_at": instant_text(ride.deadline_at),
            "due_at": _maybe(instant_text, ride.due_at),
            "status": ride.status.value,
            "version": ride.version,
            "dropoff": _maybe(_location_record, ride.dropoff),
            "note": ride.note,
            "unicorn": _maybe(_assigned_record, ride.unicorn),
            "pickup_eta_seconds": ride.pickup_eta_seconds,
            "pickup_distance_metres": ride.pickup_distance_metres,
            "matched_at": _maybe(instant_text, ride.matched_at),
            "arrived_at": _maybe(instant_text, ride.arrived_at),
            "started_at": _maybe(instant_text, ride.started_at),
            "completed_at": _maybe(instant_text, ride.completed_at),
            "canceled_at": _maybe(instant_text, ride.canceled_at),
            "canceled_by": ride.canceled_by and ride.canceled_by.value,
            "cancel_reason": ride.cancel_reason,
            "rating": _maybe(_rating_record, ride.rating),
            "excluded": sorted(ride.excluded) or None,
            "fresh_deadlines": ride.fresh_deadlines,
            "crashed_rounds": ride.crashed_rounds,
            "request_id": ride.request_id,
            "fingerprint": ride.fingerprint,
        }
    )


def ride_of(record: Record) -> Ride:
    get = record.get
    return Ride(
        ride_id=record["ride_id"],
        rider_id=record["rider_id"],
        pickup=_location_of(record["pickup"]),
        zone=record["zone"],
        requested_at=instant_of(record["requested_at"]),
        deadline_at=instant_of(record["deadline_at"]),
        due_at=_maybe(instant_of, get("due_at")),
        status=RideStatus(record["status"]),
        version=int(record["version"]),
        dropoff=_maybe(_location_of, get("dropoff")),
        note=get("note"),
        unicorn=_maybe(_assigned_of, get("unicorn")),
        pickup_eta_seconds=_maybe(int, get("pickup_eta_seconds")),
        pickup_distance_metres=_maybe(int, get("pickup_distance_metres")),
        matched_at=_maybe(instant_of, get("matched_at")),
        arrived_at=_maybe(instant_of, get("arrived_at")),
        started_at=_maybe(instant_of, get("started_at")),
        completed_at=_maybe(instant_of, get("completed_at")),
        canceled_at=_maybe(instant_of, get("canceled_at")),
        canceled_by=_maybe(CanceledBy, get("canceled_by")),
        cancel_reason=get("cancel_reason"),
        rating=_maybe(_rating_of, get("rating")),
        excluded=frozenset(get("excluded", ())),
        fresh_deadlines=int(record["fresh_deadlines"]),
        crashed_rounds=int(record["crashed_rounds"]),
        request_id=record["request_id"],
        fingerprint=get("fingerprint"),
    )


def unicorn_record(unicorn: Unicorn) -> Record:
    return _present(
        {
            "unicorn_id": unicorn.unicorn_id,
            "name": unicorn.name,
            "color": unicorn.color,
            "gender": unicorn.gender,
            "version": unicorn.version,
            "account_sub": unicorn.account_sub,
            "auto_accept": unicorn.auto_accept,
            "state": unicorn.state.value,
            "accepting": unicorn.accepting,
            "ride_id": unicorn.ride_id,
            "trip": _maybe(_trip_record, unicorn.trip),
        }
    )


def unicorn_of(record: Record) -> Unicorn:
    return Unicorn(
        unicorn_id=record["unicorn_id"],
        name=record["name"],
        color=record["color"],
        gender=record["gender"],
        version=int(record["version"]),
        account_sub=record.get("account_sub"),
        auto_accept=record["auto_accept"],
        state=UnicornState(record["state"]),
        accepting=record["accepting"],
        ride_id=record.get("ride_id"),
        trip=_maybe(_trip_of, record.get("trip")),
    )


def _present(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}


def _maybe(convert: Callable[[Given], Made], value: Given | None) -> Made | None:
    return None if value is None else convert(value)


def _location_record(location: Location) -> Record:
    return {"latitude": location.latitude, "longitude": location.longitude}


def _location_of(record: Record) -> Location:
    return Location(float(record["latitude"]), float(record["longitude"]))


def _assigned_record(unicorn: AssignedUnicorn) -> Record:
    return {
        "unicorn_id": unicorn.unicorn_id,
        "name": unicorn.name,
        "color": unicorn.color,
        "gender": unicorn.gender,
        "location": _location_record(unicorn.location),
    }


def _assigned_of(record: Record) -> AssignedUnicorn:
    location = _location_of(record["location"])
    return AssignedUnicorn(
        record["unicorn_id"], record["name"], record["color"], record["gender"], location
    )


def _rating_record(rating: Rating) -> Record:
    return _present({"stars": rating.stars, "comment": rating.comment})


def _rating_of(record: Record) -> Rating:
    return Rating(int(record["stars"]), record.get("comment"))


def _trip_record(trip: Trip) -> Record:
    return _present(
        {
            "pickup": _location_record(trip.pickup),
            "dropoff": _maybe(_location_record, trip.dropoff),
            "started_at": _maybe(instant_text, trip.started_at),
        }
    )


def _trip_of(record: Record) -> Trip:
    return Trip(
        _location_of(record["pickup"]),
        _maybe(_location_of, record.get("dropoff")),
        _maybe(instant_of, record.get("started_at")),
    )
