"""The policies that the simulation compares: the service's pairing with other settings and uses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from service.matching.remaining import RemainingTime
from service.matching.travel import FloatArray, GreatCircle, TravelTimes
from service.matching.tuning import KNOBS, Repositioning, Tuning, tuning_with_repositioning
from service.matching.zones import RESOLUTION
from service.model import Location, RepositioningLevel
from tests.load.bench.nyc import NycTrip
from tests.support.markets import AS_ESTIMATED


@dataclass(frozen=True)
class Policy:
    """A way to dispatch."""

    name: str
    tuning: Tuning = field(default_factory=Tuning)
    remaining: RemainingTime = field(default_factory=RemainingTime.default)
    greedy: bool = False
    """Claims pairs one after the other, without plans, instead of the best matching."""
    firm: bool = False
    """Plans bind the unicorn; otherwise every round makes them anew."""
    oracle: bool = False
    """Knows the real trip times beforehand."""
    zone_resolution: int = RESOLUTION
    """Each zone has its own rounds, as in the service."""
    reassigns: bool = False
    """A unicorn on its way to a pickup may still be sent to another rider, and another unicorn
    takes its place."""
    declines: float = 0.0
    """Share of pairs (rider, unicorn) that the unicorn declines, ten seconds after the offer."""
    remembers: bool = True
    """A pair that was declined is never offered again."""
    moves: Repositioning | None = None
    """How idle unicorns are repositioned; None: they are not."""
    obedience: float = 1.0
    """Share of unicorns that follow their advice; the others never do."""
    scatter: float = 0.0
    """The largest relative difference between a drive's real time and its estimate (drawn
    uniformly)."""

    def travel(self, trips: Iterable[NycTrip]) -> TravelTimes:
        return Foreknowledge.of(trips) if self.oracle else GreatCircle()

    def tuned(self, name: str, **changes: float) -> Policy:
        return replace(self, name=name, tuning=replace(self.tuning, **changes))


@dataclass(frozen=True)
class Foreknowledge:
    """Travel times that know how long each of these trips will really take."""

    real_seconds: Mapping[tuple[float, ...], float]
    others: GreatCircle = field(default_factory=GreatCircle)

    @classmethod
    def of(cls, trips: Iterable[NycTrip]) -> Foreknowledge:
        return cls({_key(trip.pickup, trip.dropoff): trip.seconds for trip in trips})

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres = self.others.estimate(origins, destinations)
        for row, key in enumerate(np.concatenate([origins, destinations], axis=1).tolist()):
            seconds[row] = self.real_seconds.get(tuple(key), seconds[row])
        return seconds, metres

    def reach_metres(self, seconds: float) -> float:
        return self.others.reach_metres(seconds)


def _key(pickup: Location, dropoff: Location) -> tuple[float, ...]:
    return pickup.latitude, pickup.longitude, dropoff.latitude, dropoff.longitude


OURS = Policy("plans (ours)")

_PLAIN = Tuning(
    driving_weight=0, lateness_weight=0, deadline_seconds=math.inf, equal_metres=0, plan_seconds=300
)

POLICIES = (
    Policy("nearest, cap 15 min", replace(_PLAIN, max_pickup_eta_seconds=900), greedy=True),
    Policy("nearest, cap 8 min", _PLAIN, greedy=True),
    Policy("firm forward, estimates", _PLAIN, AS_ESTIMATED, firm=True),
    OURS,
    replace(OURS, name="ours, future known", remaining=AS_ESTIMATED, oracle=True),
)
"""The policies of the README's table. Greedy rounds without plans are the usual way to dispatch: a
rider gets the nearest free unicorn, and a unicorn that becomes free the nearest rider."""

COMPARISONS = (
    OURS,
    Policy("firm forward, future known", _PLAIN, AS_ESTIMATED, firm=True, oracle=True),
    replace(OURS, name="ours, zones of resolution 4", zone_resolution=4),
    OURS.tuned("ours, plans up to 300 s", plan_seconds=300),
    OURS.tuned("ours, driving weight 0.2", driving_weight=0.2),
    OURS.tuned("ours, cap 6 min", max_pickup_eta_seconds=360),
    OURS.tuned("ours, no hysteresis", hysteresis_seconds=0),
    replace(OURS, name="ours, re-assigning", reassigns=True),
)
"""Policies that show what single choices are worth. The service does not re-assign; that policy
shows what it would gain."""

FAIRNESS = (
    OURS,
    *(OURS.tuned(f"overtaken by {s} s", deadline_seconds=2 * s) for s in (30, 180, 480)),
    *(OURS.tuned(f"equal within {m} m", equal_metres=m) for m in (0, 50, 200, 400)),
    replace(OURS, name="20 % declined, remembered", declines=0.2),
    replace(OURS, name="20 % declined, forgotten", declines=0.2, remembers=False),
)
"""Policies that show what fairness costs."""


def _repositioned(level: RepositioningLevel) -> Policy:
    tuning = tuning_with_repositioning(OURS.tuning, level)
    return replace(OURS, name=str(level), tuning=tuning, moves=KNOBS[level])


LEAN = _repositioned(RepositioningLevel.LEAN)

REPOSITIONING = (
    OURS,
    replace(LEAN, name="the weights of lean alone", moves=None),
    LEAN,
    _repositioned(RepositioningLevel.STRONG),
    replace(LEAN, name="lean, 70 % follow", obedience=0.7),
    replace(LEAN, name="lean, 40 % follow", obedience=0.4),
    replace(OURS, name="plans, drives ± 30 %", scatter=0.3),
    replace(LEAN, name="lean, drives ± 30 %", scatter=0.3),
    replace(OURS, name="re-assigning", reassigns=True),
    replace(LEAN, name="lean, re-assigning", reassigns=True),
)
"""Policies in which idle unicorns wait where riders will be. The service does not re-assign."""
