"""Compares `POST /v1/rides` and the time to a match with the smallest program that could do it.

(a) The CPU per request of the API process under load, against the application of
`tests/load/bench/floor.py` on the same server settings: bursts in turns, median of the ratios. (b)
The time from a committed put to a committed claim, idle and at half load, against the time from
publishing an empty job to its start plus one transaction. The machine is shared with an emulated
database, so read the ratios.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection

import numpy as np
from celery import Celery

from service.bootstrap import build_ports, redis_stores
from service.core import effects
from service.core.ports import Ports
from service.core.positions import record_position
from service.matching.zones import zone_of
from service.model import Location, Position, Ride, Trip
from service.stores.broker import CeleryRoundQueue, broker_options
from tests.load.bench.processes import cpu_seconds, memory_pss_megabytes
from tests.load.bench.stage import served, stage
from tests.support.builders import a_ride, a_usable_unicorn
from tests.support.stack import Stack, start_process

BODY = b'{"pickup":{"latitude":10.5,"longitude":10.5},"note":"by the fountain"}'
CLIENTS = 8
REQUESTS = 400
TURNS = 7
SAMPLES = 150
PICKUP = Location(40.7128, -74.0060)
MEMORY_AIMS = {"web": "80 MB", "worker": "180 MB"}


@dataclass(frozen=True)
class Load:
    """The cost of one burst of requests."""

    per_second: float
    cpu_per_request: float


def burst(port: int, token: str, pid: int) -> Load:
    """Send requests over kept-alive connections; counts the CPU of the server's processes alone."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def client(_: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(REQUESTS // CLIENTS):
            connection.request("POST", "/v1/rides", BODY, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
        connection.close()

    cpu, start = cpu_seconds(pid), time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    took = time.monotonic() - start
    return Load(REQUESTS / took, (cpu_seconds(pid) - cpu) / REQUESTS)


def compare_requests(stack: Stack) -> None:
    """Measure (a): the API and the floor application in turns."""
    token, web = stack.rider_token("bench"), stack.processes["web"].pid
    with served(stack, "floor", "tests.load.bench.floor:app") as (port, floor):
        turns = [
            (burst(stack.port, token, web), burst(port, token, floor)) for _ in range(TURNS + 1)
        ][1:]  # the first turn warms both up
    ours, theirs = zip(*turns, strict=True)
    ratio = statistics.median(a.cpu_per_request / b.cpu_per_request for a, b in turns)
    cpu = [
        1e3 * statistics.median(load.cpu_per_request for load in loads) for loads in (ours, theirs)
    ]
    rate = [statistics.median(load.per_second for load in loads) for loads in (ours, theirs)]
    name = "POST /v1/rides: CPU per request"
    row(name, f"{cpu[0]:.2f} ms", f"floor {cpu[1]:.2f} ms", ratio, "0.90")
    row(
        "POST /v1/rides: requests per second",
        f"{rate[0]:.0f}",
        f"floor {rate[1]:.0f}",
        rate[0] / rate[1],
    )


def compare_memory(stack: Stack) -> None:
    for role in ("web", "worker"):
        used = memory_pss_megabytes(stack.processes[role].pid)
        row(f"memory of {role} (sum of PSS)", f"{used:.0f} MB", "", None, MEMORY_AIMS[role])


class Probe:
    """Requests rides directly on the ports, one at a time, and waits until each is claimed."""

    def __init__(self, stack: Stack) -> None:
        settings = stack.settings()
        self.redis = redis_stores(settings, timeout_seconds=2)
        self.ports: Ports = build_ports(
            settings, self.redis, CeleryRoundQueue(settings.broker_url, timeout_seconds=2)
        )

    def on_duty(self, at: Location) -> None:
        now = datetime.now(UTC)
        unicorn = a_usable_unicorn(unicorn_id=uuid.uuid4().hex)
        self.ports.unicorns.create(unicorn)
        record_position(self.ports, unicorn.unicorn_id, Position(at, now), now)

    def put_to_claim(self, at: Location) -> float:
        """Seconds from the committed put to the announcement of the committed claim."""
        self.on_duty(at)
        ride = new_ride(at)
        with self.ports.changes.listen(effects.ride_topic(ride.ride_id)) as listener:
            self.ports.rides.create(ride)
            start = time.perf_counter()
            effects.trigger_rides(self.ports, [ride])
            assert listener.wait(20), "the ride was not claimed"
            return time.perf_counter() - start

    def transaction(self) -> float:
        """Seconds of one claim's transaction, alone."""
        unicorn = a_usable_unicorn(unicorn_id=uuid.uuid4().hex)
        ride = new_ride(PICKUP)
        self.ports.unicorns.create(unicorn)
        self.ports.rides.create(ride)
        reserved = unicorn.reserved(ride.ride_id, Trip(PICKUP, None))
        start = time.perf_counter()
        self.ports.assignments.commit((ride, ride.unmatched(ride.deadline_at)), (unicorn, reserved))
        return time.perf_counter() - start

    def close(self) -> None:
        self.redis.changes.close()


def new_ride(at: Location) -> Ride:
    now = datetime.now(UTC)
    return a_ride(
        ride_id=str(uuid.uuid4()),
        pickup=at,
        zone=zone_of(at),
        requested_at=now,
        deadline_at=now + timedelta(minutes=3),
        # Far off: the sweep must not help the way that is measured.
        due_at=now + timedelta(minutes=2),
    )


@contextmanager
def noop_worker(stack: Stack) -> Iterator[Callable[[], float]]:
    """A worker with the service's own settings whose job only reports when it started."""
    command = ["celery", "--app", "tests.load.bench.noop", "worker", "--queues", "noop"]
    command += ["--concurrency", "2", "--without-gossip", "--without-mingle"]
    process = start_process("noop", command, stack.environment, stack.folder)
    producer = Celery("noop", broker=stack.redis.url, set_as_current=False)
    producer.conf.update(
        broker_transport_options=broker_options(timeout_seconds=2), task_ignore_result=True
    )
    stores = redis_stores(stack.settings(), timeout_seconds=2)

    def publish_to_start() -> float:
        with stores.changes.listen(topic := uuid.uuid4().hex) as listener:
            start = time.perf_counter()
            producer.send_task("noop", args=(topic,), queue="noop")
            assert listener.wait(20), "the no-op job did not start"
            return time.perf_counter() - start

    try:
        publish_to_start()
        yield publish_to_start
    finally:
        stores.changes.close()
        process.stop(grace=10)


def places() -> Iterator[Location]:
    """A fresh place for each sample, so that samples do not share unicorns."""
    while True:
        for step in range(1000):
            yield Location(20 + step * 0.03, 20 + (step * 7919 % 1000) * 0.03)


def compare_dispatch(stack: Stack) -> None:
    """Measure (b): the service and the reference in turns, idle and then with a burst in the
    background.
    """
    probe, place = Probe(stack), places()
    with noop_worker(stack) as publish_to_start:
        for load, background, aim in (
            ("idle", None, "1.3"),
            ("half load", half_load(stack), "1.4"),
        ):
            stop = background() if background else (lambda: None)
            samples = [
                (probe.put_to_claim(next(place)), publish_to_start() + probe.transaction())
                for _ in range(SAMPLES)
            ]
            stop()
            ours, reference = zip(*samples, strict=True)
            for share in (0.5, 0.99):
                a, b = np.quantile(ours, share), np.quantile(reference, share)
                name = f"put to claim, {load}, p{100 * share:.0f}"
                row(name, f"{1e3 * a:.1f} ms", f"no-op + tx {1e3 * b:.1f} ms", a / b, aim)
    probe.close()


def half_load(stack: Stack) -> Callable[[], Callable[[], None]]:
    """Start to send about half of the requests that one client can. Returns a function that stops
    it.
    """

    def start() -> Callable[[], None]:
        ended, token = threading.Event(), stack.rider_token("load")

        def post() -> None:
            while not ended.is_set():
                begun = time.monotonic()
                pickup = {"latitude": 5, "longitude": 5}
                ride = stack.call("POST", "/v1/rides", {"pickup": pickup}, token=token).json
                stack.call("POST", f"/v1/rides/{ride['ride_id']}/cancel", token=token)
                ended.wait(time.monotonic() - begun)

        thread = threading.Thread(target=post)
        thread.start()

        def stop() -> None:
            ended.set()
            thread.join()

        return stop

    return start


def row(figure: str, ours: str, reference: str, ratio: float | None, aim: str = "") -> None:
    told = f"{ratio:.2f}" if ratio else ""
    print(f"{figure:<42} {ours:>12} {reference:>24} {told:>7} {aim:>8}", flush=True)


def main() -> None:
    if not sys.platform.startswith("linux"):
        print("skipped: CPU and memory of processes are read from /proc")
        return
    print(f"{'figure':<42} {'ours':>12} {'reference':>24} {'ratio':>7} {'aim':>8}")
    with stage(RATE_LIMIT_SUBJECT="1000000/minute") as stack:
        compare_memory(stack)
        compare_dispatch(stack)
        compare_requests(stack)
        compare_memory(stack)


if __name__ == "__main__":
    main()
