"""Measures how many rides of a burst workers match per second; DynamoDB answers in 5 ms.

Rides wait in zones full of unicorns when the workers start. The lease of a zone lets one pool child
at a time pair its rides. Afterwards the measurement checks that each ride and each unicorn was
claimed at most once. With one zone there is one worker of two children. With ten zones, workers of
two children are added until the cores are full; the stand-in for DynamoDB, Redis and this process
share the cores.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.core import effects
from service.model import Location, Position, Ride
from service.stores.dynamodb.calls import BATCH, get_batch
from service.stores.dynamodb.client import dynamodb_client
from tests.load.bench.processes import cpu_seconds, family
from tests.load.bench.requests import Probe, new_ride
from tests.load.bench.standin import LATENCY_SECONDS, StandIn
from tests.support.builders import a_usable_unicorn
from tests.support.infrastructure import RedisServer, wait_until
from tests.support.stack import Stack

RIDES = 600
UNICORNS = 1200
TURNS = 3
CITY = Location(40.75, -73.98)
FARTHER = 1.0
"""Degrees between the centres of two zones of the same burst, so far apart that they share nothing.
"""
BREADTH = 0.06
AIM = 400


@dataclass
class Scene:
    """A stack of its own with workers."""

    stack: Stack
    standin: StandIn
    dice: random.Random

    def workers(self) -> list[int]:
        return [process.pid for name, process in self.stack.processes.items() if name != "web"]


def main() -> None:
    print(
        f"{RIDES} rides at once, {UNICORNS} unicorns, DynamoDB in {1000 * LATENCY_SECONDS:.0f} ms,"
        f" {os.cpu_count()} cores"
    )
    measure(zones=1, workers=1, aim=AIM)
    for workers in (1, 2):
        measure(zones=10, workers=workers)


def measure(zones: int, workers: int, aim: int | None = None) -> None:
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        standin = exits.enter_context(StandIn(folder))
        redis = exits.enter_context(RedisServer(folder / "redis"))
        stack = Stack(folder, standin, redis, roles=())  # type: ignore[arg-type]
        os.environ.update(standin.environment)
        scene = Scene(stack, standin, random.Random(7))
        exits.callback(lambda: [each.stop(grace=20) for each in stack.processes.values()])
        for number in range(workers):
            stack.start("worker", "--hostname", f"worker-{number}@%h")
            stack.processes[f"worker-{number}"] = stack.processes.pop("worker")
            wait_until(lambda: stack.log("worker").count("ready") > 0, "start of the worker")
        probe = Probe(stack)
        exits.callback(probe.close)
        rates = [burst(scene, probe, zones) for _ in range(TURNS)]
        best = sorted(rates)[TURNS // 2]
        print(
            f"  {zones} zone{'s' * (zones > 1)}, {workers} worker{'s' * (workers > 1)} of two"
            f" children: median {best:.0f} matches/s by the clock" + f"; aim {aim}" * bool(aim),
            flush=True,
        )


def burst(scene: Scene, probe: Probe, zones: int) -> float:
    """Matches per second of one burst."""
    places = [Location(CITY.latitude - FARTHER * n, CITY.longitude) for n in range(zones)]
    rides = [new_ride(around(places[n % zones], scene.dice)) for n in range(RIDES)]
    on_duty(probe, [around(places[n % zones], scene.dice) for n in range(UNICORNS)])
    members = [member for worker in scene.workers() for member in family(worker)]
    for member in members:
        os.kill(member, signal.SIGSTOP)
    at_once(probe.ports.rides.create, rides)
    for ride in rides:
        effects.trigger_rides(probe.ports, [ride])
    used, standin = sum(map(cpu_seconds, scene.workers())), cpu_seconds(scene.standin.process.pid)
    begun = time.monotonic()
    for member in members:
        os.kill(member, signal.SIGCONT)
    unicorns = wait_for_matches(scene.stack, rides)
    took = time.monotonic() - begun
    ours = sum(map(cpu_seconds, scene.workers())) - used
    theirs = cpu_seconds(scene.standin.process.pid) - standin
    assert len(unicorns) == RIDES, "a unicorn has two rides"
    print(
        f"    {RIDES / took:.0f}/s by the clock; {1e3 * ours / RIDES:.2f} ms of the workers' CPU"
        f" a match; the stand-in's {1e3 * theirs / RIDES:.2f} ms",
        flush=True,
    )
    return RIDES / took


def on_duty(probe: Probe, places: Sequence[Location]) -> None:
    now = datetime.now(UTC)
    herd = [a_usable_unicorn(unicorn_id=uuid.uuid4().hex, idle_since=now) for _ in places]
    at_once(probe.ports.unicorns.create, herd)
    probe.ports.fleet.refresh_all(herd, now)
    heard = {u.unicorn_id: Position(at, now) for u, at in zip(herd, places, strict=True)}
    probe.ports.fleet.record_all(heard, now)


def at_once(create: Callable[[Any], object], values: Sequence[Any]) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(create, values))


def around(place: Location, dice: random.Random) -> Location:
    return Location(
        place.latitude + dice.uniform(0, BREADTH), place.longitude + dice.uniform(0, BREADTH / 2)
    )


def wait_for_matches(stack: Stack, rides: Sequence[Ride]) -> set[str]:
    """The unicorns of the rides, once each has one. Polls seldom, a hundred rides per call."""
    settings = stack.settings()
    client, table = dynamodb_client(settings), settings.rides_table
    waiting, unicorns = [ride.ride_id for ride in rides], set[str]()
    while waiting:
        keys = [{"ride_id": {"S": ride_id}} for ride_id in waiting[:BATCH]]
        for item in get_batch(client, {table: keys}, seconds=5)[table]:
            if "unicorn_id" in item:
                waiting.remove(item["ride_id"]["S"])
                unicorns.add(item["unicorn_id"]["S"])
        time.sleep(0.02)
    client.close()
    return unicorns


if __name__ == "__main__":
    main()
