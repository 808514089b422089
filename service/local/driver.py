"""One simulated unicorn, whose driver uses only the API."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from urllib3.exceptions import HTTPError

from service.local.client import Answer, Client
from service.local.driving import DRIVING_METRES_PER_SECOND, Leg, Place, somewhere_in_manhattan
from service.local.login import LoginFailed

LONGEST_POLL_SECONDS = 25.0
BACK_OFF_SECONDS = 2.0
BOARDING_SECONDS = 30.0
TRIP_METRES = 2500.0
"""The longest trip of a rider who named no dropoff."""

logger = logging.getLogger("herd")


@dataclass(frozen=True, slots=True)
class Description:
    """A unicorn as it is enrolled; its id is its account's user name."""

    unicorn_id: str
    name: str
    color: str
    gender: str


class Refused(Exception):
    """The API gave an answer with which the driver cannot go on."""

    def __init__(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, dict) else {}
        super().__init__(f"{answer.status} {body.get('reason', '')}")
        self.retry_after = float(answer.headers.get("Retry-After", BACK_OFF_SECONDS))


class Driver:
    """Drives for one account. `report` may be called by another thread than `follow`."""

    def __init__(self, description: Description, client: Client, speed: float) -> None:
        """`speed`: how many times faster than traffic."""
        self._description = description
        self._client = client
        self._speed = speed
        self._leg = Leg.standing(somewhere_in_manhattan(_dice(description.unicorn_id)))
        self.ride: dict[str, Any] | None = None
        self._advice: dict[str, Any] | None = None
        self._etag = ""

    def join(self, admin: Client) -> None:
        """Go on duty. If the account has no unicorn yet, `admin` enrolls it first."""
        if self._client.call("GET", "/v1/fleet/me").status == 404:
            body = asdict(self._description) | {"account_sub": self._client.subject()}
            _require(admin.call("POST", "/v1/admin/unicorns", body))
        self.report()
        self._make_available()

    def report(self) -> None:
        """Send the present position."""
        leg = self._leg
        place = leg.at(time.monotonic())
        position = {"latitude": round(place.latitude, 6), "longitude": round(place.longitude, 6)}
        if place != leg.destination:
            position["heading"] = round(place.heading_to(leg.destination), 1)
        _require(self._client.call("PUT", "/v1/fleet/me/position", position))

    def follow(self, ending: threading.Event) -> None:
        """Wait for rides and drive them, until `ending` is set."""
        while not ending.is_set():
            try:
                self.take_turn(ending)
            except (HTTPError, LoginFailed) as error:
                self._pause(error, BACK_OFF_SECONDS, ending)
            except Refused as error:
                self._pause(error, error.retry_after, ending)

    def _pause(self, error: Exception, seconds: float, ending: threading.Event) -> None:
        logger.warning("%s: %s", self._description.unicorn_id, error)
        self._etag = ""
        ending.wait(seconds)

    def take_turn(self, ending: threading.Event) -> None:
        """Take the step that is due, or wait for it or for news, whichever comes first."""
        verb, due = self._next_step()
        seconds = due - time.monotonic()
        if seconds <= 0:
            self.report()
            self._step(verb)
        elif seconds < 1:
            ending.wait(seconds)
        else:
            self._listen(min(seconds, LONGEST_POLL_SECONDS), ending)

    def _next_step(self) -> tuple[str, float]:
        """The next step of the ride, and when it is due (seconds of the monotonic clock)."""
        now = time.monotonic()
        match self.ride:
            case {"status": "offered"}:
                return "accept", now
            case {"status": "matched", "pickup": pickup}:
                return "arrive", self._drive(Place(**pickup), now)
            case {"status": "arrived"}:
                return "start", self._leg.arrives + BOARDING_SECONDS / self._speed
            case {
                "status": "in_progress",
                "ride_id": ride_id,
                "pickup": pickup,
                "dropoff": dropoff,
            }:
                return "complete", self._drive(_destination(ride_id, pickup, dropoff), now)
        if self._advice:
            self._drive(Place(self._advice["latitude"], self._advice["longitude"]), now)
        else:
            self._leg = Leg.standing(self._leg.at(now))
        return "", math.inf

    def _drive(self, destination: Place, now: float) -> float:
        """Drive to this place; returns the instant of arrival (seconds of the monotonic clock)."""
        if self._leg.destination != destination:
            speed = DRIVING_METRES_PER_SECOND * self._speed
            self._leg = Leg(self._leg.at(now), destination, now, speed)
        return self._leg.arrives

    def _listen(self, seconds: float, ending: threading.Event) -> None:
        """Long-poll for news."""
        headers = {"Prefer": f"wait={math.floor(seconds)}"}
        if self._etag:
            headers["If-None-Match"] = self._etag
        asked_at = time.monotonic()
        answer = self._client.call("GET", "/v1/fleet/me", headers=headers, patience=seconds)
        if answer.status == 304:
            # An answer that comes at once, as from a failing server, must not cause a busy loop.
            ending.wait(max(0.0, 1 - (time.monotonic() - asked_at)))
            return
        self._learn(_require(answer))

    def _learn(self, answer: Answer) -> None:
        self._etag = answer.headers.get("ETag", "")
        self.ride, self._advice = answer.body["ride"], answer.body["advice"]
        if not answer.body["unicorn"]["accepting"]:
            # The unicorn was silent for too long, for example while this machine slept.
            self._make_available()

    def _step(self, verb: str) -> None:
        assert self.ride is not None  # noqa: S101 - a step belongs to a ride
        answer = self._client.call("POST", f"/v1/fleet/me/rides/{self.ride['ride_id']}/{verb}")
        if answer.status == 409:  # the ride is no longer what it was
            self._learn(_require(self._client.call("GET", "/v1/fleet/me")))
            return
        ride = _require(answer).body
        # The next answer says where to wait after the ride.
        self.ride, self._advice = None if ride["status"] == "completed" else ride, None

    def _make_available(self) -> None:
        _require(self._client.call("PUT", "/v1/fleet/me/availability", {"available": True}))


def _require(answer: Answer) -> Answer:
    if answer.status >= 400:
        raise Refused(answer)
    return answer


def _destination(
    ride_id: str, pickup: Mapping[str, float], dropoff: Mapping[str, float] | None
) -> Place:
    """The dropoff; if there is none, a place nearby that is always the same for this ride."""
    if dropoff:
        return Place(**dropoff)
    start, anywhere = Place(**pickup), somewhere_in_manhattan(_dice(ride_id))
    return start.towards(anywhere, min(1.0, TRIP_METRES / max(1.0, start.metres_to(anywhere))))


def _dice(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a draw, not a secret
