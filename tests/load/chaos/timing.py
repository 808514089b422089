"""How long rides waited for their unicorn, and what a fault adds to it."""

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
"""What a fault may cost a ride by design: it is looked at again this much later at most."""
ALLOWED: Final = GRACE + timedelta(seconds=2)
"""For 99 of 100 rides, with faults following upon each other."""
CALM: Final = FIRST_RETRY
"""Where nothing fails no ride needs the sweep, which looks at it after this for the first time."""
AFTERMATH_SECONDS: Final = 20.0
"""So long after a fault a ride is not counted as calm."""


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
    """Of the rides whose first unicorn took them, shortest first.

    Left out are those that were declined or lost their unicorn: the tables keep their last match
    only, and it waits for people, not for the service.
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
    """Of sorted values; not a number if there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def late_rides(evidence: Evidence) -> Iterator[str]:
    """One in a hundred rides may wait longer than the grace and two seconds, none if all is calm.

    That a ride of a calm time is late means that its trigger was lost without any fault.
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
    """Waits with no fault while they lasted nor shortly before."""
    faults = [entry["at"] for entry in evidence.noted("fault")]
    return [
        wait
        for wait in waits(evidence)
        if not any(at < wait.ended and wait.began < at + AFTERMATH_SECONDS for at in faults)
    ]


def hit_by(evidence: Evidence, fault: str) -> list[float]:
    """Seconds that the rides waited that a fault of this kind met, or that came right after."""
    faults = [entry["at"] for entry in evidence.noted("fault") if entry["fault"] == fault]
    return [
        wait.seconds
        for wait in waits(evidence)
        if any(at < wait.ended and wait.began < at + 1 for at in faults)
    ]


def _waited(ride: Ride) -> float:
    assert ride.matched_at
    return (ride.matched_at - ride.requested_at).total_seconds()
