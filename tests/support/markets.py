"""Small markets for tests of the dispatch engine: riders and unicorns close to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import strategies as st

from service.matching.match import Matching, match
from service.matching.remaining import RemainingTime
from service.matching.travel import GreatCircle
from service.matching.tuning import Tuning
from service.model import FleetEntry, Location, Pairing, Position, Ride, Trip
from tests.support.builders import NOW, a_ride, a_usable_unicorn

TRAVEL = GreatCircle()
DEFAULT = Tuning()
AS_ESTIMATED = RemainingTime(usual=((0.0,), (1.0,)), left=((0.0, 1.0), (1.0, 0.0)))
"""The model in which the remaining time is the estimate minus the elapsed time."""

NEW_YORK = (40.7128, -74.0060)
DATE_LINE = (-16.8, 180.0)
EQUATOR = (0.0, 0.0)
POLES = (90.0, -90.0)
HERE = Location(*NEW_YORK)


@dataclass(frozen=True)
class Round:
    """What a round decides on."""

    rides: Sequence[Ride]
    fleet: Sequence[FleetEntry]
    plans: Mapping[str, Pairing]

    def match(self, tuning: Tuning = DEFAULT) -> Matching:
        return match(self.rides, self.fleet, self.plans, NOW, tuning, TRAVEL, AS_ESTIMATED)


def available(unicorn_id: str, at: Location, idle_seconds: float | None = None) -> FleetEntry:
    """A unicorn ready to go."""
    since = None if idle_seconds is None else NOW - timedelta(seconds=idle_seconds)
    return FleetEntry(a_usable_unicorn(unicorn_id=unicorn_id, idle_since=since), Position(at, NOW))


def busy(
    unicorn_id: str, pickup: Location, dropoff: Location | None, started_ago: float | None
) -> FleetEntry:
    """A unicorn with a rider aboard since so many seconds; none: it stands at the pickup."""
    unicorn = a_usable_unicorn(unicorn_id=unicorn_id).reserved("other", Trip(pickup, dropoff))
    if started_ago is not None:
        unicorn = unicorn.departed("other", NOW - timedelta(seconds=started_ago))
    return FleetEntry(unicorn, Position(pickup, NOW))


def waiting(ride_id: str, pickup: Location, seconds: float = 0.0, **changes: object) -> Ride:
    """A ride requested so many seconds ago."""
    requested_at = NOW - timedelta(seconds=seconds)
    return a_ride(ride_id=ride_id, pickup=pickup, requested_at=requested_at, **changes)


def at(seconds: float) -> Location:
    """A place so many seconds of driving north of `HERE`."""
    return Location(HERE.latitude + seconds * TRAVEL.reach_metres(1) / 111_195.0, HERE.longitude)


def paired(
    rides: Sequence[Ride],
    fleet: Sequence[FleetEntry],
    tuning: Tuning = DEFAULT,
    plans: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Claims and plans of a round, as ride → unicorn."""
    known = {ride: Pairing(ride, unicorn, 0, 0) for ride, unicorn in (plans or {}).items()}
    matching = Round(rides, fleet, known).match(tuning)
    return _by_ride(matching.claims), _by_ride(matching.plans)


def _by_ride(pairings: Sequence[Pairing]) -> dict[str, str]:
    return {pairing.ride_id: pairing.unicorn_id for pairing in pairings}


def _around(latitude: float, longitude: float) -> st.SearchStrategy[Location]:
    offsets = st.floats(-0.03, 0.03)
    return st.builds(
        lambda north, east: Location(latitude + north, _wrapped(longitude + east)), offsets, offsets
    )


def _around_pole(latitude: float) -> st.SearchStrategy[Location]:
    return st.builds(
        lambda south, longitude: Location(latitude - south * (latitude / 90), longitude),
        st.floats(0, 0.03),
        st.floats(-180, 180),
    )


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


def _round(at: st.SearchStrategy[Location]) -> st.SearchStrategy[Round]:
    """A round of up to eight riders and ten unicorns at these places."""
    names = [f"u{number}" for number in range(10)]
    entries = st.one_of(
        st.builds(available, st.just(""), at, st.none() | st.floats(0, 5000)),
        st.builds(busy, st.just(""), at, at | st.none(), st.none() | st.floats(0, 600)),
    )
    rides = st.builds(
        waiting,
        st.just(""),
        at,
        st.integers(0, 900),
        excluded=st.frozensets(st.sampled_from(names), max_size=3),
    )
    planned = st.dictionaries(
        st.integers(0, 7).map(lambda n: f"r{n}"), st.sampled_from(names), max_size=4
    )
    return st.builds(
        _numbered, st.lists(rides, max_size=8), st.lists(entries, max_size=10), planned
    )


def _numbered(rides: Sequence[Ride], fleet: Sequence[FleetEntry], planned: dict[str, str]) -> Round:
    return Round(
        [replace(ride, ride_id=f"r{n}") for n, ride in enumerate(rides)],
        [replace(e, unicorn=replace(e.unicorn, unicorn_id=f"u{n}")) for n, e in enumerate(fleet)],
        {ride_id: Pairing(ride_id, name, 100, 500) for ride_id, name in planned.items()},
    )


rounds = st.one_of(
    *(_round(_around(*centre)) for centre in (NEW_YORK, DATE_LINE, EQUATOR)),
    *(_round(_around_pole(pole)) for pole in POLES),
)
"""Rounds in ordinary and in awkward places."""
