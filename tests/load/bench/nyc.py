"""Real demand: New York taxi trips of the first hour of 2013 (see `../shared/data/README.md`)."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from service.model import Location

FILE = Path(__file__).parents[4] / "shared" / "data" / "nyc_rides_2013-01-01.csv"
MIDNIGHT = datetime(2013, 1, 1, tzinfo=UTC)
"""Local midnight, treated as UTC, because only differences matter."""

MEASURED = (600.0, 2100.0)
"""Pickups 00:10 to 00:35, seconds after midnight; later, long trips are missing from the file."""


@dataclass(frozen=True, slots=True)
class NycTrip:
    """A trip as it really went. Times are seconds; `minute` begins at the truncated pickup time."""

    minute: float
    seconds: float
    pickup: Location
    dropoff: Location


def load() -> Sequence[NycTrip]:
    """All trips of the file. Raises `FileNotFoundError`."""
    with FILE.open(newline="") as lines:
        return [_trip(row) for row in csv.DictReader(lines)]


def shifted(trips: Sequence[NycTrip]) -> Sequence[NycTrip]:
    """The same demand some kilometres away, with its northern half 15 minutes later.

    It shows whether the tuning fits this hour or these cell borders only by chance.
    """
    middle = median(trip.pickup.latitude for trip in trips)
    end = MEASURED[1]

    def moved(at: Location) -> Location:
        return Location(at.latitude + 0.0313, at.longitude - 0.0177)

    def later(trip: NycTrip) -> float:
        is_late = trip.pickup.latitude > middle and trip.minute < end
        return (trip.minute + 900) % end if is_late else trip.minute

    return [
        NycTrip(later(trip), trip.seconds, moved(trip.pickup), moved(trip.dropoff))
        for trip in trips
    ]


def measured(trip: NycTrip) -> bool:
    return MEASURED[0] <= trip.minute < MEASURED[1]


def thinned(
    trips: Sequence[NycTrip], unicorns: int, load: float, rng: random.Random
) -> Sequence[tuple[float, NycTrip]]:
    """Request times with their trips, in order, as many as make `load` (rate × mean trip time ÷
    unicorns).
    """
    hour = [trip for trip in trips if measured(trip)]
    busy = sum(trip.seconds for trip in hour) / (MEASURED[1] - MEASURED[0])
    share = load * unicorns / busy
    if share > 1:
        raise ValueError(f"the file has riders for {busy:.0f} unicorns at most")
    spread = [(trip.minute + rng.uniform(0, 60), trip) for trip in trips if rng.random() < share]
    return sorted(spread, key=lambda request: request[0])


def _trip(row: dict[str, str]) -> NycTrip:
    pickup_at = datetime.fromisoformat(row["pickup_datetime"]).replace(tzinfo=UTC)
    return NycTrip(
        minute=(pickup_at - MIDNIGHT).total_seconds(),
        seconds=float(row["trip_s"]),
        pickup=Location(float(row["pickup_lat"]), float(row["pickup_lon"])),
        dropoff=Location(float(row["dropoff_lat"]), float(row["dropoff_lon"])),
    )
