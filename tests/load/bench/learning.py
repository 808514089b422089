"""Compares estimates of trips: `python -m tests.load.bench.learning`.

Trips of the New York file that began from 00:25 to 00:35 (later, long ones are missing from the
file) are estimated in three ways: by straight line, by the power law that riders are told before a
zone has learned, and by a correction that is learned only from trips that had ended by 00:25.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from service.core.travel_times import NEW_YORK
from service.matching.correction import (
    AS_ESTIMATED,
    Correction,
    Drives,
    Leg,
    drives_between,
    hour_of_week,
)
from service.matching.learning import learn
from service.matching.travel import BoolArray, GreatCircle, places
from tests.load.bench.nyc import FILE, MIDNIGHT, NycTrip, load

FIT_EVERY_SECONDS = 120.0
LEARNED_UNTIL, TOLD_UNTIL = 25 * 60.0, 35 * 60.0
BANDS = (100.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 40_000.0)
MOST_LEGS = 4000


def legs_of(trips: Sequence[NycTrip]) -> Sequence[Leg]:
    """The plausible trips as legs, each at a random second of its minute."""
    rng = random.Random(1)
    origins, destinations = (
        places(getattr(trip, end) for trip in trips) for end in ("pickup", "dropoff")
    )
    drives = drives_between(origins, destinations, hour_of_week(0))
    estimated, _ = GreatCircle().estimate(origins, destinations)
    legs = [
        Leg(
            drives.origins[row],
            drives.destinations[row],
            float(drives.metres[row]),
            float(drives.bearings[row]),
            float(estimated[row]),
            MIDNIGHT.timestamp() + trip.minute + rng.uniform(0, 60),
            trip.seconds,
            f"cab-{rng.randrange(1500)}",
        )
        for row, trip in enumerate(trips)
    ]
    return [
        leg for leg in legs if BANDS[0] <= leg.metres <= BANDS[-1] and 60 <= leg.seconds <= 5400
    ]


def learned(legs: Sequence[Leg], until: float) -> Correction:
    """The correction at `until` (seconds since 1970) after a fit every two minutes."""
    correction, now = NEW_YORK, MIDNIGHT.timestamp()
    while now < until:
        now += FIT_EVERY_SECONDS
        ended = [leg for leg in legs if leg.started + leg.seconds <= min(now, until)]
        correction = learn(ended[-MOST_LEGS:], min(now, until), NEW_YORK, correction) or correction
    return correction


def line(name: str, legs: Sequence[Leg], correction: Correction) -> str:
    """Errors of the corrected estimates of these legs."""
    real = np.array([leg.seconds for leg in legs])
    metres = np.array([leg.metres for leg in legs])
    told = correction.factors(Drives.of(legs)) * [leg.estimated for leg in legs]
    apart = np.abs(told - real)
    bands = " ".join(
        f"{np.median((real / told)[(metres >= low) & (metres < high)]):5.2f}"
        for low, high in pairwise(BANDS)
    )
    return (
        f"{name:22} {np.median(real / told):6.2f} {apart.mean():6.0f}"
        f" {_share(apart <= 0.2 * real):7.1f} {_share(apart <= 120):7.1f}"
        f" {_share(real <= told * correction.latest_factor):8.1f}   {bands}"
    )


def _share(which: BoolArray) -> float:
    return 100 * float(np.mean(which))


def main() -> None:
    if not FILE.exists():
        print(f"skipped: no data at {FILE}")
        return
    legs, midnight = legs_of(load()), MIDNIGHT.timestamp()
    asked = [leg for leg in legs if LEARNED_UNTIL <= leg.started - midnight < TOLD_UNTIL]
    print(f"{len(asked)} trips from 00:25 to 00:35; real ÷ told by straight-line distance")
    print(
        f"{'':22} {'median':>6} {'|err| s':>6} {'±20 %':>7} {'±2 min':>7} {'≤ latest':>8}"
        "   0.1–0.5  –1    –2    –4    –8   more km"
    )
    print(line("straight line (today)", asked, AS_ESTIMATED))
    print(line("power law", asked, NEW_YORK))
    print(line("learned", asked, learned(legs, midnight + LEARNED_UNTIL)))


if __name__ == "__main__":
    main()
