"""Measures how fast one worker looks after a backlog of due rides, 600 of which always fail.

10,000 rides over 50 zones are due at once. Of ten healthy rides, six wait for a round, two are past
their deadline and two are matched. Offers without a unicorn stand for the rides on which the sweep
always fails. Prints when the last healthy ride was looked after, and the CPU that a look costs the
worker and the emulated database, which is a separate Python process.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from service.matching.zones import zone_of
from service.model import Location, Ride, RideStatus, Trip, Unicorn
from service.stores.dynamodb.items import ride_from, ride_item
from tests.load.bench.processes import cpu_seconds
from tests.load.bench.requests import Probe
from tests.load.bench.stage import stage
from tests.support.builders import a_ride, a_usable_unicorn
from tests.support.infrastructure import wait_until
from tests.support.stack import Stack

ZONES = 50
HEALTHY = "healthy"
SAMPLE = 100
"""Items of one BatchGetItem call (AWS, "BatchGetItem")."""
BATCH = 25
"""Items of one BatchWriteItem call (AWS, "BatchWriteItem")."""


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="backlog")
    parser.add_argument("--rides", type=int, default=10_000)
    parser.add_argument("--poisoned", type=int, default=600)
    parser.add_argument("--patience", type=float, default=120.0, help="seconds")
    given = parser.parse_args(arguments)
    with stage(roles=()) as stack:
        due_at = datetime.now(UTC).replace(microsecond=0)
        probe = Probe(stack)
        rides = [a_due_ride(n, n < given.poisoned, due_at) for n in range(given.rides)]
        put(stack, rides)
        probe.ports.fleet.refresh_all([u for ride in rides for u in unicorns_of_ride(ride)], due_at)
        for role in ("worker", "beat"):
            stack.start(role)
        watch(stack, rides, given.patience)
        probe.close()


def a_due_ride(number: int, is_poisoned: bool, now: datetime) -> Ride:
    """A ride in one of the zones; its id says whether it is healthy."""
    pickup = Location(-40 + 2.0 * (number % ZONES), -74.0)
    waiting = a_ride(
        ride_id=f"{'poisoned' if is_poisoned else HEALTHY}-{uuid.uuid4()}",
        pickup=pickup,
        zone=zone_of(pickup),
        requested_at=now - timedelta(seconds=170),
        deadline_at=now + timedelta(minutes=10),
        due_at=now,
    )
    if is_poisoned:
        return replace(waiting, status=RideStatus.OFFERED)
    match number // ZONES % 5:
        case 3:
            return replace(waiting, deadline_at=now - timedelta(seconds=1))
        case 4:
            unicorn = a_usable_unicorn(unicorn_id=waiting.ride_id)
            seen = unicorn.seen_by_rider(pickup)
            return replace(waiting, status=RideStatus.MATCHED, unicorn=seen, matched_at=now)
    return waiting


def unicorns_of_ride(ride: Ride) -> list[Unicorn]:
    if ride.unicorn_id is None:
        return []
    free = a_usable_unicorn(unicorn_id=ride.unicorn_id)
    return [free.reserved(ride.ride_id, Trip(ride.pickup, ride.dropoff))]


def put(stack: Stack, rides: Sequence[Ride]) -> None:
    client, table = stack.ministack.dynamodb_client(), stack.environment["RIDES_TABLE"]
    left = iter(rides)
    while batch := list(islice(left, BATCH)):
        puts: list[Any] = [{"PutRequest": {"Item": ride_item(ride)}} for ride in batch]
        answer = client.batch_write_item(RequestItems={table: puts})
        assert not answer["UnprocessedItems"], "the emulator takes every item"


def watch(stack: Stack, rides: Sequence[Ride], patience: float) -> None:
    """Print about every second how many rides were looked after, and in the end the total cost.

    Reads only a sample of the rides by their keys, because a count would cost the emulator more
    than the sweep does.
    """
    worker, aws = stack.processes["worker"].pid, stack.ministack.process.pid
    asked = random.Random(7).sample([r for r in rides if r.ride_id.startswith(HEALTHY)], SAMPLE)
    wait_until(lambda: still_due(stack, asked) < SAMPLE, "the first look")
    used, begun = (cpu_seconds(worker), cpu_seconds(aws)), time.monotonic()
    left, seconds = SAMPLE, 0.0
    while left and seconds < patience:
        time.sleep(1)
        left, seconds = still_due(stack, asked), time.monotonic() - begun
        print(f"  {seconds:5.1f} s: {1 - left / SAMPLE:4.0%} looked at", flush=True)
    ours, emulated = cpu_seconds(worker) - used[0], cpu_seconds(aws) - used[1]
    print(
        f"CPU of the worker {ours:.1f} s ({1e3 * ours / len(rides):.2f} ms a ride), of the emulated"
        f" database {emulated:.1f} s ({1e3 * emulated / len(rides):.2f} ms a ride)"
    )


def still_due(stack: Stack, rides: Sequence[Ride]) -> int:
    """The number of these rides that the sweep has not looked after yet."""
    client, table = stack.ministack.dynamodb_client(), stack.environment["RIDES_TABLE"]
    keys: list[Any] = [{"ride_id": {"S": ride.ride_id}} for ride in rides]
    items = client.batch_get_item(RequestItems={table: {"Keys": keys}})["Responses"][table]
    seen = {ride.ride_id: ride.due_at for ride in rides}
    stored = map(ride_from, items)
    return sum(ride.due_at is not None and ride.due_at == seen[ride.ride_id] for ride in stored)


if __name__ == "__main__":
    main(sys.argv[1:])
