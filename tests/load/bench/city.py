"""A simulated fleet and its riders as API clients: real tokens, real HTTP, compressed time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from service.matching.travel import GreatCircle, seconds_between
from service.model import Location
from tests.load.bench.calling import Caller, Timetable
from tests.load.bench.nyc import NycTrip
from tests.support.stack import Stack

RIDER_THREADS = 96
FLEET_THREADS = 24
"""Unicorns have threads of their own, so that riders who wait for one cannot keep it from
finishing."""
REPORT_SECONDS = 4.0
BULK = 500
WAIT_SECONDS = 20
LONGEST_RIDE_SECONDS = 3600.0
"""In the city's time: a rider who is not done for longer is lost."""
LEAST_PATIENCE_SECONDS = 300.0
"""In real time: the replay waits at least so long after the last request."""


@dataclass
class Cab:
    """A unicorn on its way from one place to another."""

    token: str
    start: Location
    destination: Location
    departed: float = 0.0
    arrives: float = 0.0
    has_ride: bool = False
    is_moving: bool = False
    """Whether it drives to the place where it should wait."""

    def drive(self, destination: Location, seconds: float) -> None:
        now = time.monotonic()
        self.start, self.destination = self.where(now), destination
        self.departed, self.arrives = now, now + seconds

    def where(self, now: float) -> Location:
        if now >= self.arrives:
            return self.destination
        share = (now - self.departed) / (self.arrives - self.departed)
        a, b = self.start, self.destination
        return Location(
            a.latitude + share * (b.latitude - a.latitude),
            a.longitude + share * (b.longitude - a.longitude),
        )


@dataclass
class City:
    """The riders and unicorns of one replay; `compress`: how many times faster than in New York."""

    stack: Stack
    compress: float
    follows: bool = False
    """Whether idle unicorns follow the service's advice where to wait."""
    cabs: dict[str, Cab] = field(default_factory=dict)
    rides: list[dict[str, Any]] = field(default_factory=list)
    """Rides as they were when their riders were done."""
    faults: list[str] = field(default_factory=list)
    until_boarding: bool = False
    """Whether a rider counts as done once aboard; the unicorn still drives to the drop-off."""

    def __post_init__(self) -> None:
        self.call = Caller(self.stack.port, RIDER_THREADS + FLEET_THREADS)
        self.rider_pool = ThreadPoolExecutor(RIDER_THREADS)
        self.fleet_pool = ThreadPoolExecutor(FLEET_THREADS)
        self.timetable = Timetable()
        self.telemetry = self.stack.mint.machine_token()
        self.travel = GreatCircle()
        self._open = threading.Semaphore(0)
        self._steering = threading.Lock()
        self.positions = 0
        self.pickup_metres: dict[str, float] = {}
        """Straight line to the pickup, by ride."""
        self.moved_metres = 0.0
        """Straight lines towards where unicorns should wait."""

    def enroll(self, starts: Sequence[Location]) -> None:
        """Put a unicorn on duty at each place, and report all positions from now on."""
        admin = self.stack.admin_token()
        names = [f"u{number:05}" for number in range(len(starts))]
        list(self.fleet_pool.map(partial(self._enroll, admin), names, starts))
        self._report()

    def _enroll(self, admin: str, name: str, at: Location) -> None:
        unicorn = {"unicorn_id": name, "name": name, "color": "White", "gender": "Female"}
        self.call(
            "POST",
            "/v1/admin/unicorns",
            admin,
            unicorn | {"account_sub": name, "location": _json(at)},
        )
        cab = self.cabs[name] = Cab(self.stack.unicorn_token(name), at, at)
        self.call("PUT", "/v1/fleet/me/availability", cab.token, {"available": True})

    def play(self, demand: Sequence[tuple[float, NycTrip]]) -> float:
        """Let riders request rides at their (compressed) times. Returns the seconds until the last
        rider is done.

        Raises `TimeoutError` if a rider is still not done a (compressed) hour after the last
        request, and not before `LEAST_PATIENCE_SECONDS`.
        """
        begun = time.monotonic() + 1
        for number, (at, trip) in enumerate(demand):
            self.timetable.at(
                begun + at / self.compress,
                self.rider_pool,
                partial(self._guarded, self._request, number, trip),
            )
        patience = max(LONGEST_RIDE_SECONDS / self.compress, LEAST_PATIENCE_SECONDS)
        latest = begun + demand[-1][0] / self.compress + patience
        for done in range(len(demand)):
            if not self._open.acquire(timeout=max(0.0, latest - time.monotonic())):
                raise TimeoutError(f"{len(demand) - done} of {len(demand)} riders are not done")
        return time.monotonic() - begun

    def close(self) -> None:
        self.timetable.end()
        self.rider_pool.shutdown()
        self.fleet_pool.shutdown()

    def _guarded(self, act: Callable[..., object], *arguments: object) -> None:
        """Take a step of a ride; if the step fails, for whatever reason, the rider is done."""
        try:
            act(*arguments)
        except Exception as error:  # an uncounted rider would be waited for in vain
            self.faults.append(repr(error))
            self._open.release()

    def _request(self, number: int, trip: NycTrip) -> None:
        token = self.stack.rider_token(f"rider-{number}")
        order = {"pickup": _json(trip.pickup), "dropoff": _json(trip.dropoff)}
        ride = self.call("POST", "/v1/rides", token, order, Idempotency_Key=f"{number}")
        self._follow(token, ride, trip)

    def _follow(self, token: str, ride: Mapping[str, Any], trip: NycTrip) -> None:
        """Wait for the match with a long poll, then drive."""
        while ride["unicorn"] is None and ride["status"] == "requested":
            ride = (
                self.call(
                    "GET",
                    f"/v1/rides/{ride['ride_id']}",
                    token,
                    Prefer=f"wait={WAIT_SECONDS}",
                    If_None_Match=f'"{ride["version"]}"',
                )
                or ride
            )
        if ride["unicorn"] is None:
            return self._done(ride)
        cab = self.cabs[ride["unicorn"]["unicorn_id"]]
        with self._steering:
            cab.has_ride = True
            self.pickup_metres[ride["ride_id"]] = self._drive(cab, trip.pickup)
        self.timetable.at(
            cab.arrives,
            self.fleet_pool,
            partial(self._guarded, self._depart, cab, ride["ride_id"], trip),
        )

    def _depart(self, cab: Cab, ride_id: str, trip: NycTrip) -> None:
        at = _json(trip.pickup)
        self.call("POST", f"/v1/fleet/me/rides/{ride_id}/arrive", cab.token, at)
        ride = self.call("POST", f"/v1/fleet/me/rides/{ride_id}/start", cab.token)
        cab.drive(trip.dropoff, trip.seconds / self.compress)
        if self.until_boarding:
            self._done(ride)
        self.timetable.at(
            cab.arrives, self.fleet_pool, partial(self._guarded, self._complete, cab, ride_id)
        )

    def _drive(self, cab: Cab, goal: Location) -> float:
        """Set out from the present place to the goal. Returns the straight-line metres."""
        at = cab.where(time.monotonic())
        if cab.is_moving:
            self.moved_metres += self.travel.crow_metres(cab.start, at)
        cab.is_moving = not cab.has_ride and goal != at
        cab.drive(goal, round(seconds_between(self.travel, at, goal)) / self.compress)
        return self.travel.crow_metres(at, goal)

    def _take_advice(self) -> None:
        """Let idle unicorns drive to where they should wait; those without advice stay."""
        advice = self.call("GET", "/v1/fleet/advice", self.telemetry)["advice"]
        goals = {
            each["unicorn_id"]: Location(each["latitude"], each["longitude"]) for each in advice
        }
        with self._steering:
            for name, cab in self.cabs.items():
                goal = goals.get(name, cab.where(time.monotonic()))
                if not cab.has_ride and goal != cab.destination:
                    self._drive(cab, goal)

    def _complete(self, cab: Cab, ride_id: str) -> None:
        cab.has_ride = False  # first, since the answer may come after the next ride
        ride = self.call("POST", f"/v1/fleet/me/rides/{ride_id}/complete", cab.token)
        if not self.until_boarding:
            self._done(ride)

    def _done(self, ride: Mapping[str, Any]) -> None:
        self.rides.append(dict(ride))
        self._open.release()

    def _report(self) -> None:
        """Report all positions in bulk, now and every few seconds."""
        now = time.monotonic()
        self.timetable.at(now + REPORT_SECONDS, self.fleet_pool, self._report)
        positions = [
            {"unicorn_id": name, **_json(cab.where(now))} for name, cab in self.cabs.items()
        ]
        self.positions += len(positions)
        for begin in range(0, len(positions), BULK):
            bulk = {"positions": positions[begin : begin + BULK]}
            self.call("POST", "/v1/fleet/positions", self.telemetry, bulk)
        if self.follows:
            self._take_advice()


def _json(at: Location) -> dict[str, float]:
    return {"latitude": at.latitude, "longitude": at.longitude}
