"""One run: a cluster with its fleet and riders, the faults that strike them, and the evidence at
the end.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Final

from tests.load.chaos import advising
from tests.load.chaos.calls import Api, Client
from tests.load.chaos.cluster import Cluster
from tests.load.chaos.duplicator import Duplicator
from tests.load.chaos.evidence import note_what_is_left, open_rides
from tests.load.chaos.herd import Herd
from tests.load.chaos.history import History
from tests.load.chaos.nemesis import Nemesis
from tests.load.chaos.riders import Riders
from tests.load.chaos.schedule import CITIES, Arrival, Schedule, place

DRAIN_SECONDS: Final = 60.0
"""How long the rides may take to end after the last fault."""


def run(schedule: Schedule, folder: Path) -> Path:
    """Carry out the schedule on real processes. Returns the path of the history."""
    settings = advising.SETTINGS if schedule.advises else {}
    with (
        History(folder / "history.jsonl") as history,
        Cluster(folder, history, **settings) as cluster,
    ):
        history.add("schedule", seed=schedule.seed, rides=len(schedule.arrivals))
        if schedule.advises:
            advising.preset(cluster)
        api = Api(tuple(cluster.ports.values()), history)
        admin = Client(api, "admin", cluster.stack.admin_token(), random.Random(schedule.seed))
        herd = Herd(api, cluster.stack, schedule.fleet, admin, rests=schedule.advises)
        admin.close()
        duplicator = Duplicator(cluster.redis_url, schedule.seed)
        riders = Riders(api, cluster.stack.rider_token)
        reader = advising.Reader(api, cluster.stack.mint.machine_token())
        herd.start()
        duplicator.start()
        try:
            time.sleep(1)
            _play(schedule, cluster, api, riders)
            herd.become_reliable()
            duplicator.end()
            riders.wait(DRAIN_SECONDS)
            _wait_until_all_have_ended(cluster)
            _flush(schedule, riders)
            _wait_until_all_have_ended(cluster)
        finally:
            api.ended.set()
            duplicator.end()
            reader.end()
            herd.end()
        history.add("copies", count=duplicator.copies)
        note_what_is_left(cluster)
        return history.path


def _play(schedule: Schedule, cluster: Cluster, api: Api, riders: Riders) -> None:
    nemesis = Nemesis(cluster, api)
    strikes = threading.Thread(target=nemesis.strike_all, args=(schedule.strikes,))
    strikes.start()
    riders.come(schedule.arrivals)
    strikes.join()


def _wait_until_all_have_ended(cluster: Cluster) -> None:
    """Wait until all rides have ended, also those whose riders no longer watch them."""
    end = time.monotonic() + DRAIN_SECONDS
    while open_rides(cluster) and time.monotonic() < end:
        time.sleep(0.5)


def _flush(schedule: Schedule, riders: Riders) -> None:
    """Request a last ride in each city; its round removes rides that ended while Redis was away."""
    chance, first = random.Random(schedule.seed), len(schedule.arrivals)
    riders.come(
        [
            Arrival(
                at=0,
                number=first + city,
                rider="last-rider",
                city=city,
                pickup=place(chance, city),
                dropoff=place(chance, city),
                long_polls=True,
                waits_in_post=False,
                watches_to_the_end=True,
                cancels_after=None,
            )
            for city in range(len(CITIES))
        ]
    )
    riders.wait(DRAIN_SECONDS)
