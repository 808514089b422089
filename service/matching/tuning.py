"""The knobs of dispatch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What a round weighs and how far it looks. Costs are seconds of pickup ETA."""

    max_pickup_eta_seconds: float = 480.0
    """No pair with a longer pickup ETA, the time until the unicorn is free included."""
    plan_seconds: float = 480.0
    """Unicorns that should be free within this time can be planned; 0 turns plans off."""
    deadline_seconds: float = 180.0
    """How long a rider waits for a match at most; the weight of waiting follows from it."""
    equal_metres: float = 100.0
    """Unicorns whose distances from the pickup differ by less are equally near: the one that has
    waited longest goes."""
    driving_weight: float = 0.3
    """Seconds of ETA a pair may cost more per second of empty driving that it saves."""
    on_time_seconds: float = 270.0
    """How long a rider gladly waits, from the request to the pickup."""
    lateness_weight: float = 2.0
    """Extra seconds of cost per second of waiting for the pickup beyond that."""
    hysteresis_seconds: float = 30.0
    """How much better another unicorn must be to replace a planned one."""
    priority_seconds: float = 60.0
    """How much the whole may cost more so that a rider with a plan does not lose it."""
    neighbours: int = 16
    """How many of the nearest unicorns, available and busy ones each, a rider is compared with.

    More for riders who would get none of them.
    """
    most_edges: int = 100_000
    """Above so many possible pairs the matching takes too long: the older half of the riders is
    served first, the younger half by the unicorns that are left."""

    @property
    def waiting_weight(self) -> float:
        """Seconds of ETA a rider may cost more per second of waiting."""
        return self.max_pickup_eta_seconds / self.overtaking_seconds

    @property
    def overtaking_seconds(self) -> float:
        """Nobody without a unicorn is passed over by one who came so much later.

        That is: for a unicorn that both could have had. Half the deadline, so that a rider at the
        edge of reach still has the other half to be served in.
        """
        return self.deadline_seconds / 2
