"""Riders: each requests a ride, repeats the call until it is answered, watches the ride, and
sometimes cancels it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.load.chaos.calls import Api, Client, GaveUp
from tests.load.chaos.schedule import Arrival

ENDED: Final = frozenset({"completed", "canceled", "unmatched"})
LOOK_EVERY_SECONDS: Final = 2.0
WAIT_SECONDS: Final = 10


class Ride:
    """One ride as its rider sees it."""

    def __init__(self, api: Api, arrival: Arrival, token: str) -> None:
        chance = random.Random(arrival.number)
        self._client = Client(api, arrival.rider, token, chance)
        self._arrival = arrival
        self._cancels_after = arrival.cancels_after
        self._version = 0
        self.ride_id: str | None = None

    def run(self) -> None:
        try:
            ride = self._requested()
            while not self._knows_enough(ride):
                ride = self._canceled() if self._wants_to_cancel() else self._seen()
        except GaveUp:
            pass
        finally:
            self._client.close()

    def _requested(self) -> Any:
        arrival = self._arrival
        self._began = time.monotonic()
        body = {"pickup": located(arrival.pickup), "dropoff": located(arrival.dropoff)}
        reply = self._client.insist(
            "POST",
            "/v1/rides",
            body,
            wait=WAIT_SECONDS if arrival.waits_in_post else 0,
            Idempotency_Key=f"ride-{arrival.number}",
        )
        self.ride_id = reply.json.get("ride_id")
        return self._noted(reply.json)

    def _seen(self) -> Any:
        wait = WAIT_SECONDS if self._arrival.long_polls else 0
        if not wait:
            time.sleep(LOOK_EVERY_SECONDS)
        path, tag = f"/v1/rides/{self.ride_id}", f'"{self._version}"'
        reply = self._client.insist("GET", path, wait=wait, If_None_Match=tag)
        return self._noted(reply.json) if reply.status != 304 else self._ride

    def _knows_enough(self, ride: Any) -> bool:
        """Watch the ride; most riders stop when a unicorn is on its way, some at the end."""
        matched = ride["unicorn"] is not None and not self._arrival.watches_to_the_end
        return ride["status"] in ENDED or (matched and self._cancels_after is None)

    def _wants_to_cancel(self) -> bool:
        after = self._cancels_after
        return after is not None and time.monotonic() - self._began > after

    def _canceled(self) -> Any:
        self._cancels_after = None
        reply = self._client.insist("POST", f"/v1/rides/{self.ride_id}/cancel", {})
        return self._noted(reply.json) if reply.status == 200 else self._seen()

    def _noted(self, ride: Any) -> Any:
        self._ride, self._version = ride, ride["version"]
        unicorn = ride["unicorn"]
        self._client.api.history.add(
            "ride",
            who=self._client.who,
            ride_id=ride["ride_id"],
            key=f"ride-{self._arrival.number}",
            version=ride["version"],
            status=ride["status"],
            unicorn_id=unicorn and unicorn["unicorn_id"],
            since=self._client.sent_at,
        )
        return ride


class Riders:
    """Starts the riders of a schedule at their instants, each in a thread of its own."""

    def __init__(self, api: Api, token_of: Callable[[str], str]) -> None:
        self._api = api
        self._token_of = token_of
        self._threads: list[threading.Thread] = []

    def come(self, arrivals: Sequence[Arrival]) -> None:
        """Start all riders. Returns when the last one has started."""
        began = time.monotonic()
        tokens = {arrival.rider: self._token_of(arrival.rider) for arrival in arrivals}
        for arrival in arrivals:
            time.sleep(max(0.0, began + arrival.at - time.monotonic()))
            ride = Ride(self._api, arrival, tokens[arrival.rider])
            thread = threading.Thread(target=ride.run, name=f"rider {arrival.number}")
            thread.start()
            self._threads.append(thread)

    def wait(self, seconds: float) -> int:
        """Wait until all riders have seen their rides end. Returns the number of those that have
        not.
        """
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)


def located(place: tuple[float, float]) -> dict[str, float]:
    return {"latitude": place[0], "longitude": place[1]}
