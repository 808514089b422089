"""How long rides waited for their unicorn, without and with faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from service.core.sweep import RETRY_EVERY
from service.model import FIRST_RETRY, Ride
from tests.load.chaos.evidence import Evidence
from tests.load.chaos.schedule import Habit

SWEEP_PERIOD: Final = timedelta(seconds=1)
GRACE: Final = RETRY_EVERY + SWEEP_PERIOD
"""The longest delay that a fault may cause by design: by then the sweep looks after the ride."""
ALLOWED: Final = GRACE + timedelta(seconds=2)
"""The longest wait of 99 in 100 rides while faults follow each other."""
CALM: Final = FIRST_RETRY
"""The longest wait when nothing fails: the sweep looks after a ride later than this, and no ride
needs it."""
AFTERMATH_SECONDS: Final = 20.0
"""A ride does not count as calm until this many seconds after a fault."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A ride's time from its request to its match, seconds."""

    ride_id: str
    began: float
    seconds: float

    @property
    def ended(self) -> float:
        return self.began + self.seconds


def waits(evidence: Evidence) -> Sequence[Wait]:
    """The waits of rides that kept their first unicorn, shortest first.

    Rides that were declined or lost their unicorn are left out: the tables have their last match
    only, and its time depends on drivers, not on the service.
    """
    habits = evidence.habits
    return sorted(
        (
            Wait(ride.ride_id, ride.requested_at.timestamp(), _waited(ride))
            for ride in evidence.rides
            if ride.matched_at
            and not ride.excluded
            and habits.get(ride.unicorn_id or "") != Habit.CHOOSY
        ),
        key=lambda wait: wait.seconds,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """A percentile of sorted values; NaN if there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def late_rides(evidence: Evidence) -> Iterator[str]:
    """Violations of the limits: one in a hundred rides may wait longer than `ALLOWED`, and no calm
    ride longer than `CALM`.

    A late ride in a calm time means that its trigger was lost without any fault.
    """
    found = waits(evidence)
    limit = ALLOWED.total_seconds()
    p99 = quantile([wait.seconds for wait in found], 0.99)
    if p99 > limit:
        yield f"p99 of the time to match is {p99:.2f} s, allowed are {limit:g} s"
    for wait in calm(evidence):
        if wait.seconds >= CALM.total_seconds():
            yield f"ride {wait.ride_id} waited {wait.seconds:.2f} s though nothing failed"


def calm(evidence: Evidence) -> Sequence[Wait]:
    """The waits during which, and shortly before which, there was no fault."""
    faults = [entry["at"] for entry in evidence.noted("fault")]
    return [
        wait
        for wait in waits(evidence)
        if not any(at < wait.ended and wait.began < at + AFTERMATH_SECONDS for at in faults)
    ]


def hit_by(evidence: Evidence, fault: str) -> list[float]:
    """The waits, in seconds, of rides during or shortly after a fault of this kind."""
    faults = [entry["at"] for entry in evidence.noted("fault") if entry["fault"] == fault]
    return [
        wait.seconds
        for wait in waits(evidence)
        if any(at < wait.ended and wait.began < at + 1 for at in faults)
    ]


def _waited(ride: Ride) -> float:
    assert ride.matched_at
    return (ride.matched_at - ride.requested_at).total_seconds()
