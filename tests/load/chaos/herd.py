"""The fleet: unicorns that report positions, wait for rides and carry them out quickly."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from service.local.driving import Place
from tests.load.chaos.calls import Api, Client, GaveUp
from tests.load.chaos.schedule import CITIES, Driver, Habit, place
from tests.support.stack import Stack

WAIT_SECONDS: Final = 4
"""How long a unicorn waits for news before it reports its position again."""
SILENT_SECONDS: Final = 32.0
"""Longer than `UNICORN_STALE_SECONDS` plus the time between two looks of the sweep."""
RESTS_DEGREES: Final = 0.01
"""1.1 km north of the city: from there a unicorn is advised to come back, if it may."""
RESTS: Final = 0.4
"""How likely a unicorn without a ride goes there, each time that nothing happened for a while."""
HOP_METRES: Final = 200.0
"""As far as a unicorn without a ride drives before it reports its position and asks for news."""
METRES_PER_SECOND: Final = 250.0
"""Below the greatest speed that the service believes."""
STANDS_SECONDS: Final = (0.05, 0.2)
STEPS: Final = {
    "offered": ("accept", "arrive", "start", "complete"),
    "matched": ("arrive", "start", "complete"),
    "arrived": ("start", "complete"),
    "in_progress": ("complete",),
}


class Unicorn:
    """One unicorn's app."""

    def __init__(self, api: Api, driver: Driver, token: str, *, rests: bool = False) -> None:
        """`rests`: whether it leaves the city when it is idle, so that it is given advice."""
        self._rests = rests
        self._goal: Place | None = None
        self._chance = random.Random(driver.seed)
        self._driver = driver
        self._client = Client(api, driver.unicorn_id, token, self._chance)
        self._tag = ""
        self._at = Place(*place(self._chance, driver.city))
        self.off_duty = threading.Event()
        self.reliable = threading.Event()

    def run(self) -> None:
        try:
            self._here()
            self._available()
            while not self.off_duty.is_set():
                self._here()
                ride = self._news()
                if ride:
                    self._goal = None
                    self._take(ride)
                elif self._goal:
                    self._hop(self._goal)
        except GaveUp:
            pass
        finally:
            self._client.close()

    def _here(self) -> None:
        """Report the position once, without repeating a failed call, because the next one follows
        soon.
        """
        at = {"latitude": self._at.latitude, "longitude": self._at.longitude}
        self._client.call("PUT", "/v1/fleet/me/position", at)

    def _available(self) -> None:
        self._client.insist("PUT", "/v1/fleet/me/availability", {"available": True})

    def _news(self) -> Any:
        asked = {"If_None_Match": self._tag} if self._tag else {}
        wait = 0 if self._goal else WAIT_SECONDS
        reply = self._client.insist("GET", "/v1/fleet/me", wait=wait, **asked)
        if reply.status == 304:
            self._perhaps_rest()
            return None
        self._tag = reply.headers["ETag"]
        unicorn = reply.json["unicorn"]
        self._client.api.history.add(
            "unicorn",
            unicorn_id=unicorn["unicorn_id"],
            version=unicorn["version"],
            ride_id=unicorn["ride_id"],
            state=unicorn["state"],
            advised=reply.json["advice"] is not None,
        )
        if advice := reply.json["advice"]:
            self._goal = Place(advice["latitude"], advice["longitude"])
        return reply.json["ride"]

    def _perhaps_rest(self) -> None:
        """An idle unicorn in its city may go and rest outside."""
        if self._rests and self._goal is None and self._chance.random() < RESTS:
            latitude, longitude = CITIES[self._driver.city]
            self._goal = Place(latitude + RESTS_DEGREES, longitude)

    def _hop(self, goal: Place) -> None:
        """Drive a part of the way, so that a ride that comes meanwhile is noticed."""
        metres = self._at.metres_to(goal)
        there = self._at.towards(goal, min(1.0, HOP_METRES / max(metres, 1.0)))
        time.sleep(self._at.metres_to(there) / METRES_PER_SECOND)
        self._at = there
        if metres <= HOP_METRES:
            self._goal = None

    def _take(self, ride: Any) -> None:
        steps = STEPS.get(ride["status"], ())
        if ride["status"] == "offered" and self._chance.random() < 0.3:
            steps = ("decline",)
        ends = {"arrive": ride["pickup"], "complete": ride["dropoff"]}
        for step in steps:
            self._drive(ends.get(step))
            if step == "start" and self._vanishes():
                return
            path = f"/v1/fleet/me/rides/{ride['ride_id']}/{step}"
            if self._client.insist("POST", path).status != 200:
                return  # canceled, expired or given to another meanwhile

    def _drive(self, end: Any) -> None:
        """Drive to the end of the step's leg, if it has one, and report the position there."""
        time.sleep(self._chance.uniform(*STANDS_SECONDS))
        if end:
            there = Place(**end)
            time.sleep(self._at.metres_to(there) / METRES_PER_SECOND)
            self._at = there
            self._here()

    def _vanishes(self) -> bool:
        """Fall silent before the ride is in progress, so that the sweep gives the ride to another
        unicorn.
        """
        if self._driver.habit is not Habit.FORGETFUL or self._chance.random() < 0.7:
            return False
        self._client.api.history.add("vanished", unicorn_id=self._driver.unicorn_id)
        self._tag = ""
        if not self.reliable.wait(SILENT_SECONDS):
            self._here()
            self._available()
        return True


class Herd:
    """All unicorns of a schedule, each in a thread of its own."""

    def __init__(
        self, api: Api, stack: Stack, fleet: Sequence[Driver], admin: Client, *, rests: bool
    ) -> None:
        """`rests`: as in `Unicorn`."""
        self._unicorns: list[Unicorn] = []
        for driver in fleet:
            self._enroll(admin, driver)
            token = stack.unicorn_token(f"driver-of-{driver.unicorn_id}")
            self._unicorns.append(Unicorn(api, driver, token, rests=rests))
        self._threads = [threading.Thread(target=u.run, name="unicorn") for u in self._unicorns]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def become_reliable(self) -> None:
        """Let silent unicorns come back, and let no other fall silent."""
        for unicorn in self._unicorns:
            unicorn.reliable.set()

    def end(self) -> None:
        for unicorn in self._unicorns:
            unicorn.off_duty.set()
        for thread in self._threads:
            thread.join()

    def _enroll(self, admin: Client, driver: Driver) -> None:
        body = {
            "unicorn_id": driver.unicorn_id,
            "account_sub": f"driver-of-{driver.unicorn_id}",
            "name": driver.unicorn_id.title(),
            "color": "White",
            "gender": "Female",
            "auto_accept": driver.habit is not Habit.CHOOSY,
        }
        admin.api.history.add("habit", unicorn_id=driver.unicorn_id, habit=driver.habit)
        reply = admin.insist("POST", "/v1/admin/unicorns", body)
        assert reply.status == 201, reply.json
