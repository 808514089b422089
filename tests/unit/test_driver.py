"""A simulated unicorn and its ride, on an API that keeps one ride in memory."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from service.local.client import Answer, Client
from service.local.driver import Description, Driver
from service.local.driving import Place

NEXT = {"accept": "matched", "arrive": "arrived", "start": "in_progress", "complete": "completed"}
PICKUP = {"latitude": 40.72, "longitude": -74.0}
DROPOFF = {"latitude": 40.73, "longitude": -73.99}


class Api(Client):
    """One unicorn, perhaps with a ride; takes every transition in its legal order."""

    def __init__(self, status: str | None, dropoff: dict[str, float] | None = None) -> None:
        self.steps: list[str] = []
        self.positions: list[Place] = []
        self.done = threading.Event()
        self.accepting = False
        self.knows_the_account = True
        self.enrolled: list[dict[str, Any]] = []
        self.advice: dict[str, Any] | None = None
        ride = {"ride_id": "r1", "status": status, "pickup": PICKUP, "dropoff": dropoff}
        self.ride: dict[str, Any] | None = ride if status else None

    def subject(self) -> str:
        return "its-sub"

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> Answer:
        match method, path.split("/")[3:]:
            case "GET", ["me"]:
                return self._me()
            case "PUT", ["me", "position"]:
                self.positions.append(Place(body["latitude"], body["longitude"]))
                return Answer(204, None, {})
            case "PUT", ["me", "availability"]:
                self.accepting = body["available"]
                return Answer(200, {}, {})
            case "POST", ["me", "rides", "r1", verb]:
                return self._step(verb)
            case "POST", ["unicorns"]:
                self.enrolled.append(body)
                return Answer(201, {}, {})
        raise AssertionError(f"unexpected {method} {path}")

    def _me(self) -> Answer:
        if not self.knows_the_account:
            return Answer(404, {"reason": "not_found"}, {})
        body = {"unicorn": {"accepting": self.accepting}, "ride": self.ride, "advice": self.advice}
        return Answer(200, body, {"ETag": '"1"'})

    def _step(self, verb: str) -> Answer:
        self.steps.append(verb)
        if self.ride is None:
            self.done.set()
            return Answer(409, {"reason": "illegal_transition"}, {})
        self.ride = self.ride | {"status": NEXT[verb]}
        answer = Answer(200, self.ride, {})
        if verb == "complete":
            self.ride = None
            self.done.set()
        return answer


def drive(api: Api, speed: float = 1e6) -> None:
    """Let a driver work until the API says it is done."""
    driver = Driver(Description("herd-01", "Shadowfax", "White", "Male"), api, speed)
    thread = threading.Thread(target=driver.follow, args=(api.done,))
    thread.start()
    try:
        assert api.done.wait(20), api.steps
    finally:
        api.done.set()
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "steps"),
    [
        ("offered", ["accept", "arrive", "start", "complete"]),
        ("matched", ["arrive", "start", "complete"]),
        ("in_progress", ["complete"]),
    ],
)
def test_a_ride_is_taken_up_where_it_stands_and_driven_to_its_end(
    status: str, steps: list[str]
) -> None:
    api = Api(status, DROPOFF)
    drive(api)
    assert api.steps == steps
    assert api.positions[-1] == Place(**DROPOFF)


def test_the_position_at_the_pickup_is_sent_before_arriving() -> None:
    api = Api("matched", DROPOFF)
    drive(api)
    assert Place(**PICKUP) in api.positions


def test_a_rider_without_a_dropoff_is_taken_somewhere_near() -> None:
    api = Api("in_progress")
    drive(api)
    assert 0 < Place(**PICKUP).metres_to(api.positions[-1]) <= 2501


def test_a_driver_gives_up_a_ride_that_was_canceled() -> None:
    api = Api("in_progress", DROPOFF)
    driver = Driver(Description("herd-01", "Shadowfax", "White", "Male"), api, 1e6)
    driver.take_turn(api.done)  # learns of the ride
    api.ride = None
    while not api.done.is_set():
        driver.take_turn(api.done)  # drives, and is told 409
    assert api.steps == ["complete"]
    assert driver.ride is None


def test_an_idle_unicorn_drives_to_where_it_should_wait_and_stops_when_it_no_longer_should() -> (
    None
):
    api = Api(None)
    driver = Driver(Description("herd-01", "Shadowfax", "White", "Male"), api, 1e6)
    driver.report()
    start = api.positions[-1]
    api.advice = DROPOFF | {"reason": "riders_expected", "expires_at": "2026-11-23T02:47:28.123Z"}
    for _ in range(2):
        driver.take_turn(api.done)
    api.done.wait(0.05)  # the drive takes half a millisecond
    driver.report()
    assert api.positions[-1] == Place(**DROPOFF) != start
    api.advice = None
    driver.take_turn(api.done)
    driver.report()
    assert api.positions[-1] == Place(**DROPOFF)


def test_joining_enrols_once_and_stands_ready() -> None:
    api = Api(None)
    api.knows_the_account = False
    Driver(Description("herd-01", "Shadowfax", "White", "Male"), api, 1.0).join(api)
    about = {"unicorn_id": "herd-01", "name": "Shadowfax", "color": "White", "gender": "Male"}
    assert api.enrolled == [about | {"account_sub": "its-sub"}]
    assert api.accepting
    assert len(api.positions) == 1


def test_a_unicorn_that_was_taken_off_duty_for_silence_reports_back() -> None:
    api = Api(None)
    driver = Driver(Description("herd-01", "Shadowfax", "White", "Male"), api, 1.0)
    driver.take_turn(threading.Event())
    assert api.accepting
