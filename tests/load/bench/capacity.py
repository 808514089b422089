"""Measures the DynamoDB capacity units of each step of a ride, on the service's own stores."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from service.bootstrap import build_ports, redis_stores
from service.core import effects
from service.core.patrol import rides_to_check
from service.core.ports import Ports
from service.core.positions import record_position
from service.core.rides import RideOrder, own_ride, request_ride
from service.core.sweep import sweep
from service.core.travel_times import ZoneTimes
from service.core.unicorns import Step, advance
from service.matching.travel import GreatCircle
from service.model import Location, Pairing, Position, Ride, Trip
from service.model.presence import Patrol
from tests.load.bench.metering import Meter
from tests.load.bench.stage import stage
from tests.support.builders import a_usable_unicorn
from tests.support.fakes_redis import FakeRoundQueue

PICKUP = Location(40.7128, -74.0060)
DROPOFF = Location(40.7589, -73.9851)
LOOKS = 1
"""Looks of the sweep at a ride that goes well: one, ten minutes after the claim."""
PATROLS = 24
"""Patrols until a pickup after four minutes: one every ten seconds. All rides share their reads."""
CROWD = 200
"""Other rides whose unicorns are on their way while patrols are measured, 25 in a shard."""
AIM = {"write": 24, "read": 8}
"""Units of one ride, with what patrols read of it in four minutes."""
RIDER, UNICORN = str(uuid.uuid4()), str(uuid.uuid4())
"""Ids as long as real ones, because a row is billed by the kilobyte."""


class Bill:
    """The units of each step, as printed."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.total: Counter[str] = Counter()

    @contextmanager
    def step(self, name: str, times: float = 1) -> Iterator[None]:
        """Add a step that happens `times` times to the total."""
        self._meter.units.clear()
        yield
        spent = self._meter.units
        for kind in spent:
            self.total[kind] += times * spent[kind]
        row(name if times == 1 else f"{name}, {times:g} ×", spent)


def row(name: str, units: Mapping[str, float]) -> None:
    print(f"{name:<64} {units['write']:>7.1f} {units['read']:>7.1f}", flush=True)


def claim(ports: Ports, ride: Ride, unicorn_id: str = UNICORN) -> Ride:
    """Claim one pair as a round does, which has read everything from Redis."""
    unicorn, now = a_usable_unicorn(unicorn_id=unicorn_id), datetime.now(UTC)
    pairing = Pairing(ride.ride_id, unicorn_id, 240, 1540, 400)
    after = ride.claimed(unicorn, PICKUP, pairing, now, timedelta(seconds=15))
    reserved = unicorn.reserved(ride.ride_id, Trip(ride.pickup, ride.dropoff))
    ports.assignments.commit((ride, after), (unicorn, reserved))
    effects.after_write(ports, now, ride=after, unicorn=reserved)
    return after


def crowd(ports: Ports) -> None:
    """Make many rides whose unicorns are on their way."""
    now = datetime.now(UTC)
    for _ in range(CROWD):
        name = str(uuid.uuid4())
        ports.unicorns.create(a_usable_unicorn(unicorn_id=name))
        order = RideOrder(rider_id=name, request_id=name, pickup=PICKUP, dropoff=DROPOFF)
        ride, _ = request_ride(ports, order, now)
        claim(ports, ride, name)
        record_position(ports, name, Position(PICKUP, now), now)


def drive(ports: Ports, bill: Bill) -> None:
    """Run one ride from the request to the end."""
    now = datetime.now(UTC)
    order = RideOrder(
        rider_id=RIDER,
        request_id=uuid.uuid4().hex,
        pickup=PICKUP,
        dropoff=DROPOFF,
        note="by the fountain",
        idempotency_key="k",
    )
    with bill.step("request (conditional put)"):
        ride, _ = request_ride(ports, order, now)
    with bill.step("claim (transaction)"):
        claim(ports, ride)
    with bill.step("the rider reads it"):
        own_ride(ports, ride.ride_id, RIDER)
    # By this the unicorn is known to have reached the pickup, which its ride notes at the start.
    there = datetime.now(UTC)
    record_position(ports, UNICORN, Position(PICKUP, there), there)
    for step in (Step.ARRIVE, Step.START, Step.COMPLETE):
        if step is Step.ARRIVE:
            with bill.step("the sweep looks at it", LOOKS):
                ports.rides.postpone(stored(ports, ride), now + timedelta(minutes=1))
        with bill.step(f"{step}"):
            advance(ports, step, UNICORN, ride.ride_id, datetime.now(UTC))
    assert stored(ports, ride).reached_at


def stored(ports: Ports, ride: Ride) -> Ride:
    found = ports.rides.get(ride.ride_id)
    assert found
    return found


def measure(ports: Ports, meter: Meter) -> None:
    ports.unicorns.create(a_usable_unicorn(unicorn_id=UNICORN))
    print(f"{'step':<64} {'write':>7} {'read':>7}")
    bill = Bill(meter)
    drive(ports, bill)
    crowd(ports)
    with bill.step(f"a patrol of {CROWD} rides (every 10 s)", PATROLS / CROWD):
        for shard in ports.rides.shards:
            list(rides_to_check(ports, shard, list(Patrol), datetime.now(UTC)))
    row("one ride", bill.total)
    row("aim", AIM)
    fleet = Bill(meter)
    with fleet.step("a position whose unicorn is known"):
        now = datetime.now(UTC)
        for _ in range(2):
            meter.units.clear()
            record_position(ports, UNICORN, Position(PICKUP, now), now)
    sweep(ports, datetime.now(UTC))
    with fleet.step("a sweep with nothing to do (one a second)"):
        sweep(ports, datetime.now(UTC))


def main() -> None:
    with stage(roles=()) as stack:
        settings, client = stack.settings(), stack.ministack.dynamodb_client()
        stores = redis_stores(settings, timeout_seconds=2)
        ports = build_ports(settings, stores, FakeRoundQueue(), client)
        # Processes read what zones have learned in the background, and not for a ride.
        measure(replace(ports, times=ZoneTimes(GreatCircle())), Meter(client))
        stores.changes.close()


if __name__ == "__main__":
    main()
