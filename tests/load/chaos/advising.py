"""Advice to idle unicorns during a run: the demand that it needs, and a machine that reads it."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from service.matching.zones import zone_of
from service.model import Location
from service.stores.redis import keys
from service.stores.redis.link import connect
from service.stores.redis.moves import RequestCounter
from tests.load.chaos.calls import Api, Client, GaveUp
from tests.load.chaos.cluster import Cluster
from tests.load.chaos.schedule import CITIES
from tests.support.builders import a_ride

SETTINGS: Final[Mapping[str, str]] = {"REPOSITION_SECONDS": "2"}
EXPECTED_RIDERS: Final = 40
"""Riders of the last minutes in each city, so many that all of its idle unicorns are wanted."""
REMEMBERED: Final = timedelta(hours=1)
LOOK_SECONDS: Final = 1.0


def preset(cluster: Cluster) -> None:
    """Let Redis look as if it had counted riders for an hour, before the run begins.

    A Redis that is killed loses all of this, so a run with advice leaves that fault out.
    """
    now, counter = datetime.now(UTC), RequestCounter()
    client = connect(cluster.redis_url, timeout_seconds=5)
    client.set(keys.EPOCH, int((now - REMEMBERED).timestamp() * 1000))
    for at in (Location(*city) for city in CITIES):
        for number in range(EXPECTED_RIDERS):
            ride = a_ride(
                rider_id=f"expected-{number}", pickup=at, zone=zone_of(at), requested_at=now
            )
            client.exchange(counter.commands(ride))
    client.close()


class Reader:
    """A machine that steers whole fleets: it notes all advice every second until `end`."""

    def __init__(self, api: Api, token: str) -> None:
        self._client = Client(api, "machine", token, random.Random(0))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader of advice")
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _read(self) -> None:
        try:
            while not self._ended.wait(LOOK_SECONDS):
                reply = self._client.insist("GET", "/v1/fleet/advice")
                names = [each["unicorn_id"] for each in reply.json["advice"]]
                self._client.api.history.add("advice", unicorn_ids=names)
        except GaveUp:
            pass
        finally:
            self._client.close()
