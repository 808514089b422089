"""Computes the default tables of `RemainingTime`: `python -m tests.load.bench.remaining`.

They are learned from trips picked up before 00:10, so from none that the simulation measures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.matching.remaining import RemainingTime
from service.matching.travel import FloatArray, GreatCircle, places
from tests.load.bench.nyc import MEASURED, NycTrip, load

LENGTHS = (60.0, 120.0, 240.0, 360.0, 480.0, 720.0, 960.0, 1200.0, 1800.0)
"""Estimated seconds at which the usual ratio is kept."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
"""Elapsed ÷ usual time at which the remaining share is kept."""


def learned(trips: Sequence[NycTrip]) -> RemainingTime:
    """Tables of medians over trips that were completed."""
    real = np.array([trip.seconds for trip in trips])
    estimated, _ = GreatCircle().estimate(
        places(trip.pickup for trip in trips), places(trip.dropoff for trip in trips)
    )
    estimated = np.maximum(estimated, LENGTHS[0])
    usual = [_usual_ratio(estimated, real, length) for length in LENGTHS]
    ratio = real / (estimated * np.interp(estimated, LENGTHS, usual))
    left = [float(np.median(ratio[ratio > share]) - share) for share in SHARES]
    return RemainingTime((LENGTHS, _rounded(usual)), (SHARES, _rounded(left)))


def _usual_ratio(estimated: FloatArray, real: FloatArray, length: float) -> float:
    """Median ratio among trips estimated at about this length."""
    alike = (estimated >= length / 1.3) & (estimated <= length * 1.3)
    return float(np.median(real[alike] / estimated[alike]))


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 2) for value in values)


def main() -> None:
    earlier = [trip for trip in load() if trip.minute < MEASURED[0]]
    tables = learned(earlier)
    print(f"{len(earlier)} trips picked up before 00:10")
    print("usual (estimated seconds; real ÷ estimated):", *tables.usual, sep="\n  ")
    print("left (elapsed ÷ usual; left ÷ usual):", *tables.left, sep="\n  ")


if __name__ == "__main__":
    main()
