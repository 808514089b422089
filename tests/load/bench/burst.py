"""How many matches a second one worker process makes of one zone, the emulated database apart.

A burst of rides waits in one zone full of unicorns when the worker is let loose; the zone's lease
lets one pool child at a time do the matching. The wall clock includes the emulated database, which
is a Python process of its own: what the worker does in a second of its own CPU is the figure, its
reciprocal the cost of a match.
"""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from service.core import effects
from service.core.positions import record_position
from service.model import (
    Location,
    Position,
    Ride,
    RideStatus,
)
from tests.load.bench.processes import cpu_seconds, family
from tests.load.bench.requests import Probe, new_ride
from tests.load.bench.stage import stage
from tests.support.builders import a_usable_unicorn
from tests.support.stack import Stack

RIDES = 300
UNICORNS = 600
TURNS = 3
CITY = Location(40.75, -73.98)
BREADTH = 0.06


def main() -> None:
    with stage(roles=("worker",)) as stack:
        probe, dice = Probe(stack), random.Random(7)
        print(f"{RIDES} rides at once, {UNICORNS} unicorns, one zone")
        for _ in range(TURNS):
            burst(stack, probe, dice)
        probe.close()


def burst(stack: Stack, probe: Probe, dice: random.Random) -> None:
    rides = [new_ride(anywhere(dice)) for _ in range(RIDES)]
    for _ in range(UNICORNS):
        on_duty(probe, dice)
    worker = stack.processes["worker"].pid
    members = family(worker)
    for member in members:
        os.kill(member, signal.SIGSTOP)
    for ride in rides:
        probe.ports.rides.create(ride)
        effects.trigger_ride(probe.ports, ride)
    used = cpu_seconds(worker), cpu_seconds(stack.ministack.process.pid)
    begun = time.monotonic()
    for member in members:
        os.kill(member, signal.SIGCONT)
    wait_for_matches(probe, rides)
    took = time.monotonic() - begun
    ours = cpu_seconds(worker) - used[0]
    emulated = cpu_seconds(stack.ministack.process.pid) - used[1]
    print(
        f"  {RIDES / took:.0f} matches/s by the clock; per second of the worker's CPU"
        f" {RIDES / ours:.0f} ({1e3 * ours / RIDES:.1f} ms a match);"
        f" the emulated database {1e3 * emulated / RIDES:.1f} ms a match",
        flush=True,
    )


def on_duty(probe: Probe, dice: random.Random) -> None:
    now, unicorn = datetime.now(UTC), a_usable_unicorn(unicorn_id=uuid.uuid4().hex)
    probe.ports.unicorns.create(unicorn)
    record_position(probe.ports, unicorn.unicorn_id, Position(anywhere(dice), now), now)


def anywhere(dice: random.Random) -> Location:
    return Location(
        CITY.latitude + dice.uniform(0, BREADTH), CITY.longitude + dice.uniform(0, BREADTH / 2)
    )


def wait_for_matches(probe: Probe, rides: Sequence[Ride]) -> None:
    """Ask for one ride at a time, seldom: the asking must not be what is measured."""
    for ride in rides:
        while status_of(probe, ride) is RideStatus.REQUESTED:
            time.sleep(0.05)


def status_of(probe: Probe, ride: Ride) -> RideStatus:
    stored = probe.ports.rides.get(ride.ride_id)
    assert stored
    return stored.status


if __name__ == "__main__":
    main()
