"""How often the rows of rides and unicorns must have changed, by what the rides tell at the end.

These writes make a new version in a run; no staff acts, no rider rates, and no pair is torn:

- claim: ride and unicorn (an offer, if the unicorn is choosy)
- accept and arrive: the ride; start: both
- complete and cancel: the ride, and the unicorn if it has one
- decline (`excluded` and `declined` on the ride), and a silence that the sweep notices (`excluded`
  alone): both. A unicorn that fell silent is off duty by the same write, and goes on duty by one
  more when it is back.
- missed offer (`missed_by` on the ride): both, every time; after several in a row the unicorn is
  off duty by the same write.

A ride names who missed its offers but not how often. How often follows from the ride's version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from service.model import Ride
from tests.load.chaos.schedule import Habit

CLAIMED_AND_FREED: Final = 2


@dataclass(frozen=True, slots=True)
class Span:
    """A number that is known to be from `least` to `most`."""

    least: int = 0
    most: int = 0

    def __contains__(self, number: int) -> bool:
        return self.least <= number <= self.most

    def __add__(self, other: Self) -> Span:
        return Span(self.least + other.least, self.most + other.most)

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def changes(unicorn_id: str, rides: Sequence[Ride], habits: Mapping[str, str]) -> Span:
    """How often the unicorn changed since it went on duty for the first time."""
    return sum((_changes_by(ride, unicorn_id, habits) for ride in rides), Span())


def missed(ride: Ride, habits: Mapping[str, str]) -> Span:
    """How many offers of the ride were missed, by its version.

    Unknown is whether a unicorn that fell silent had arrived: the ride does not tell afterwards.
    """
    rest = ride.version - 1 - _known_steps(ride, habits)
    unknown = len(_silenced(ride))
    return Span(-((unknown - rest) // CLAIMED_AND_FREED), rest // CLAIMED_AND_FREED)


def adds_up(ride: Ride, habits: Mapping[str, str]) -> bool:
    """Whether the ride's version can be, by what is stored of its steps."""
    times = missed(ride, habits)
    if not ride.missed_by:
        return 0 in times
    return len(ride.missed_by) <= times.most and times.least <= times.most


def _changes_by(ride: Ride, unicorn_id: str, habits: Mapping[str, str]) -> Span:
    certain = 0
    if unicorn_id == ride.unicorn_id:
        certain += 1 + bool(ride.started_at) + ride.is_terminal
    if unicorn_id in ride.excluded:
        certain += CLAIMED_AND_FREED
    fell_silent = unicorn_id in _silenced(ride)
    return Span(certain, certain + fell_silent) + _misses_of(ride, unicorn_id, habits)


def _silenced(ride: Ride) -> frozenset[str]:
    """Unicorns that lost the ride by their silence; one that did not come stays on duty."""
    return ride.excluded - ride.declined.keys() - ride.not_coming


def _misses_of(ride: Ride, unicorn_id: str, habits: Mapping[str, str]) -> Span:
    """Changes by offers of the ride that the unicorn missed; each other one missed one or more."""
    if unicorn_id not in ride.missed_by:
        return Span()
    times, others = missed(ride, habits), len(ride.missed_by) - 1
    least = 1 if others else max(1, times.least)
    return Span(CLAIMED_AND_FREED * least, CLAIMED_AND_FREED * (times.most - others))


def _known_steps(ride: Ride, habits: Mapping[str, str]) -> int:
    """Changes of the ride but for its missed offers and arrivals that were undone."""
    accepted = ride.matched_at and habits.get(ride.unicorn_id or "") == Habit.CHOOSY
    steps = (ride.unicorn, accepted, ride.arrived_at, ride.started_at, ride.is_terminal)
    return sum(map(bool, steps)) + CLAIMED_AND_FREED * len(ride.excluded)
