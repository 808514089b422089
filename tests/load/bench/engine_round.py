"""Measures what a routing engine adds to a round: `python -m tests.load.bench.engine_round`.

50 riders wait at crossings of Manhattan, among fleets of 50 and 500. The round sees the unicorns
that the fleet index returns: the nearest available and the nearest busy ones of each rider. In the
first round nothing is remembered. The later round is two seconds after: five of the riders are new,
and the busy unicorns have moved.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from service.core.travel_times import ZoneTimes
from service.local import roads
from service.local.processes import Process
from service.matching.costs import Neighbourhood
from service.matching.match import match
from service.matching.travel import FloatArray, GreatCircle, places
from service.model import FleetEntry, Location, Position, Ride, Trip
from service.stores.osrm import TableService
from service.stores.routed import RoutedTimes
from tests.load.bench.assignment import NOW, TUNING
from tests.load.bench.cabs import Cab
from tests.load.bench.processes import cpu_seconds
from tests.support import manhattan
from tests.support.builders import a_ride
from tests.support.infrastructure import PROJECT, free_port, wait_until

RIDERS, REPEATS = 50, 7
FLEETS: Final = ((50, 1.0), (500, 1.0), (500, 0.3))
"""The number of unicorns, and the share of them that is idle."""
LATER: Final = timedelta(seconds=2)
NEW_RIDERS: Final = 5
LONGEST_TRIP: Final = timedelta(seconds=900)


class CountedTables(TableService):
    """The engine's tables, counted."""

    tables = places = cells = 0

    def table(self, sources: FloatArray, targets: FloatArray, seconds: float) -> FloatArray:
        self.tables += 1
        self.places += len(sources) + len(targets)
        self.cells += len(sources) * len(targets)
        return super().table(sources, targets, seconds)


def main() -> None:
    if not manhattan.FOLDER.exists():
        print(f"skipped: {manhattan.ABSENT}")
        return
    print(f"{RIDERS} riders; medians of {REPEATS} cities, milliseconds")
    print("more than by straight line: time, our CPU; CPU of the engine; tables, places, cells")
    algorithms: tuple[roads.Algorithm, ...] = ("MLD", "CH")
    for algorithm in algorithms:
        with _engine(algorithm) as (url, pid):
            for unicorns, idle in FLEETS:
                rounds = [_two_rounds(url, pid, unicorns, idle, seed) for seed in range(REPEATS)]
                for name, figures in zip(
                    ("first", "later"), zip(*rounds, strict=True), strict=True
                ):
                    columns = [median(column) for column in zip(*figures, strict=True)]
                    text = "".join(f"{figure:9.0f}" for figure in columns)
                    city = f"{unicorns} unicorns, {idle:.0%} idle"
                    print(f"{algorithm:4} {city:24} {name} round {text}", flush=True)


@contextmanager
def _engine(algorithm: roads.Algorithm) -> Iterator[tuple[str, int]]:
    """The address and the process of an engine on Manhattan's streets."""
    port, package = free_port(), roads.install(PROJECT / ".local" / "roads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        extract = manhattan.write(folder / "manhattan.osm")
        base = roads.prepare(package, extract, folder, algorithm)
        print(f"{algorithm}: prepared in {time.monotonic() - began:.0f} s", flush=True)
        program = roads.server(package, base, port, folder / "roads.log", algorithm)
        process = Process(program)
        try:
            wait_until(lambda: roads.answers(port), "the routing engine's first answer")
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.stop(grace=5)


def _two_rounds(
    url: str, pid: int, unicorns: int, idle: float, seed: int
) -> tuple[Sequence[float], ...]:
    """The figures of a first and of a later round."""
    rng = random.Random(seed)
    crossings = [Location(*at) for at in manhattan.nodes().tolist()]
    tables = CountedTables(url)
    routed = RoutedTimes(tables, GreatCircle(), budget_seconds=30.0, most_places=1000)
    by_engine = ZoneTimes(routed, make_round_base=routed.for_a_round)
    rides = [_ride(f"r{number}", rng.choice(crossings)) for number in range(RIDERS)]
    fleet = [_unicorn(f"u{number}", crossings, idle, rng) for number in range(unicorns)]
    first = _added(by_engine, tables, pid, rides, fleet)
    newer = [_ride(f"s{number}", rng.choice(crossings)) for number in range(NEW_RIDERS)]
    moved = [_moved(entry, rng.choice(crossings)) for entry in fleet]
    return first, _added(by_engine, tables, pid, rides[NEW_RIDERS:] + newer, moved)


def _added(
    times: ZoneTimes,
    tables: CountedTables,
    pid: int,
    rides: Sequence[Ride],
    fleet: Sequence[FleetEntry],
) -> Sequence[float]:
    found = _near(rides, fleet)
    before, engine = (tables.tables, tables.places, tables.cells), cpu_seconds(pid)
    straight_time, straight_cpu = _pairing(ZoneTimes(GreatCircle()), rides, found)
    seconds, cpu = _pairing(times, rides, found)
    after = tables.tables, tables.places, tables.cells
    spent = (seconds - straight_time, cpu - straight_cpu, cpu_seconds(pid) - engine)
    counts = [now - then for now, then in zip(after, before, strict=True)]
    return [1000 * each for each in spent] + counts


def _pairing(
    times: ZoneTimes, rides: Sequence[Ride], fleet: Sequence[FleetEntry]
) -> tuple[float, float]:
    """Seconds and CPU seconds of pairing, as a round does it."""
    began, cpu = time.perf_counter(), time.process_time()
    for_round = times.for_a_round()
    trips, remaining = for_round.trips("", NOW)
    match(rides, fleet, {}, NOW, TUNING, for_round.for_pairing("", NOW), remaining, trips)
    return time.perf_counter() - began, time.process_time() - cpu


def _near(rides: Sequence[Ride], fleet: Sequence[FleetEntry]) -> Sequence[FleetEntry]:
    """Each rider's nearest available and nearest busy unicorns, as the fleet index finds them."""
    reach = GreatCircle().reach_metres(TUNING.max_pickup_eta_seconds)
    pickups, found = places(ride.pickup for ride in rides), list[FleetEntry]()
    for is_free in (True, False):
        kind = [entry for entry in fleet if entry.unicorn.can_take_a_ride is is_free]
        near = Neighbourhood(places(map(_ends, kind)), reach)
        _, rows, _ = near.nearest(pickups, TUNING.neighbours)
        found += [kind[row] for row in np.unique(rows)]
    return found


def _ends(entry: FleetEntry) -> Location:
    """Where it can start to the next pickup."""
    trip, position = entry.unicorn.trip, entry.position
    assert position
    return trip.dropoff if trip and trip.dropoff else position.location


def _ride(ride_id: str, pickup: Location) -> Ride:
    return a_ride(ride_id=ride_id, pickup=pickup, requested_at=NOW)


def _unicorn(
    name: str, crossings: Sequence[Location], idle: float, rng: random.Random
) -> FleetEntry:
    """Idle, on its way to a pickup (one in four of the others), or on a trip."""
    at, pickup, dropoff = rng.choices(crossings, k=3)
    unicorn = Cab.on_duty(name, at).unicorn
    if rng.random() >= idle:
        unicorn = unicorn.reserved("r", Trip(pickup, dropoff))
        if rng.random() >= 0.25:
            unicorn = unicorn.departed("r", NOW - LONGEST_TRIP * rng.random())
    return FleetEntry(unicorn, Position(at, NOW))


def _moved(entry: FleetEntry, at: Location) -> FleetEntry:
    """Two seconds later: elsewhere, if it drives."""
    if entry.unicorn.can_take_a_ride:
        return entry
    return replace(entry, position=Position(at, NOW + LATER))


if __name__ == "__main__":
    main()
