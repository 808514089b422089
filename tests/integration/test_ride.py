"""A ride from request to completion through real processes, some of which are killed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.infrastructure import wait_until
from tests.support.racing import race
from tests.support.stack import Answer, Stack

PICKUP = {"latitude": 40.7128, "longitude": -74.0060}
DROPOFF = {"latitude": 40.7580, "longitude": -73.9855}


class Rider:
    """A rider's app."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.token = stack.rider_token(f"rider-{uuid.uuid4()}")

    def requests(self, at: dict[str, float] = PICKUP, **headers: str) -> Answer:
        body = {"pickup": at, "dropoff": DROPOFF}
        return self.stack.call("POST", "/v1/rides", body, token=self.token, **headers)

    def insists(self, **headers: str) -> Answer:
        """Repeat the request while it gets 503: one rider has a quarter of the places."""
        while (answer := self.requests(**headers)).status == 503:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer

    def sees(self, ride_id: str) -> Any:
        return self.stack.call("GET", f"/v1/rides/{ride_id}", token=self.token).json

    def sees_status(self, ride_id: str, status: str, seconds: float = 30) -> None:
        wait_until(lambda: self.sees(ride_id)["status"] == status, f"{ride_id} {status}", seconds)


class Driver:
    """The app of a unicorn that is enrolled and on duty at a place."""

    def __init__(self, stack: Stack, at: dict[str, float] = PICKUP, **unicorn: object) -> None:
        self.stack = stack
        self.unicorn_id = f"u-{uuid.uuid4()}"
        subject = f"driver-{uuid.uuid4()}"
        self.token = stack.on_duty(subject, at, unicorn_id=self.unicorn_id, **unicorn)

    def goes_off_duty(self) -> None:
        body = {"available": False}
        answer = self.stack.call("PUT", "/v1/fleet/me/availability", body, token=self.token)
        assert answer.status == 200, answer.body

    def stands(self, at: dict[str, float]) -> None:
        answer = self.stack.call("PUT", "/v1/fleet/me/position", at, token=self.token)
        assert answer.status == 204, answer.body

    def takes(self, step: str, ride_id: str) -> Answer:
        return self.stack.call("POST", f"/v1/fleet/me/rides/{ride_id}/{step}", token=self.token)

    def sees(self) -> Any:
        return self.stack.call("GET", "/v1/fleet/me", token=self.token).json


@pytest.fixture
def rider(stack: Stack) -> Rider:
    return Rider(stack)


@pytest.fixture
def driver(stack: Stack) -> Iterator[Driver]:
    driver = Driver(stack)
    yield driver
    driver.goes_off_duty()


def test_a_ride_goes_the_whole_way(rider: Rider, driver: Driver) -> None:
    answer = rider.requests(Prefer="wait=20")
    assert answer.status == 201, answer.body
    assert answer.headers["Preference-Applied"] == "wait=20"
    ride = answer.json
    assert answer.headers["Location"] == f"/v1/rides/{ride['ride_id']}"
    assert (ride["status"], ride["version"]) == ("matched", 2)
    assert ride["unicorn"]["unicorn_id"] == driver.unicorn_id
    assert driver.sees()["ride"]["ride_id"] == ride["ride_id"]
    assert "rider_id" not in driver.sees()["ride"]
    for step, status in (
        ("arrive", "arrived"),
        ("start", "in_progress"),
        ("complete", "completed"),
    ):
        assert driver.takes(step, ride["ride_id"]).json["status"] == status
        assert rider.sees(ride["ride_id"])["status"] == status
    assert driver.sees()["ride"] is None
    assert driver.sees()["unicorn"]["state"] == "available"


def test_a_unicorn_that_comes_later_is_sent_at_once(stack: Stack, rider: Rider) -> None:
    pickup = {"latitude": 41.5, "longitude": -72.5}
    ride_id = rider.requests(pickup).json["ride_id"]
    driver = Driver(stack, pickup)
    rider.sees_status(ride_id, "matched", seconds=3)
    driver.goes_off_duty()


def test_a_rider_who_waits_for_news_gets_it(stack: Stack, rider: Rider, driver: Driver) -> None:
    ride = rider.requests(Prefer="wait=20").json
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            stack.call,
            "GET",
            f"/v1/rides/{ride['ride_id']}",
            token=rider.token,
            Prefer="wait=20",
            If_None_Match=f'"{ride["version"]}"',
        )
        driver.takes("arrive", ride["ride_id"])
        assert waiting.result().json["status"] == "arrived"


def test_one_key_makes_one_ride_however_often_it_is_sent(rider: Rider) -> None:
    key = str(uuid.uuid4())
    answers = race(lambda _: rider.insists(Idempotency_Key=key), range(100))
    assert {answer.status for answer in answers} <= {201, 202}
    assert len({answer.json["ride_id"] for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None] + ["true"] * 99
    other = rider.requests({"latitude": 1.0, "longitude": 2.0}, Idempotency_Key=key)
    assert (other.status, other.json["reason"]) == (422, "idempotency_key_reused")


def test_a_declined_offer_goes_to_the_next_unicorn(stack: Stack, rider: Rider) -> None:
    pickup = {"latitude": 42.5, "longitude": -71.5}
    proud = Driver(stack, pickup, auto_accept=False)
    ride_id = rider.requests(pickup).json["ride_id"]
    rider.sees_status(ride_id, "offered")
    assert rider.sees(ride_id)["unicorn"] is None
    assert proud.takes("decline", ride_id).json["status"] == "requested"
    humble = Driver(stack, pickup)
    rider.sees_status(ride_id, "matched")
    assert rider.sees(ride_id)["unicorn"]["unicorn_id"] == humble.unicorn_id


def test_rides_survive_the_death_of_a_worker(stack: Stack, rider: Rider) -> None:
    pickup = {"latitude": 43.5, "longitude": -70.5}
    drivers = [Driver(stack, pickup) for _ in range(4)]
    stack.kill("worker")
    rides = [rider.requests(pickup).json for _ in drivers]
    assert {ride["status"] for ride in rides} == {"requested"}
    stack.start("worker")
    taken = set()
    for ride in rides:
        rider.sees_status(ride["ride_id"], "matched")
        taken.add(rider.sees(ride["ride_id"])["unicorn"]["unicorn_id"])
    assert taken == {driver.unicorn_id for driver in drivers}
