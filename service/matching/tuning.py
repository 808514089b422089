"""The weights and limits of dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from service.model import RepositioningLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The weights and limits of a round. Costs are seconds of pickup ETA."""

    max_pickup_eta_seconds: float = 480.0
    """The longest pickup ETA of a pair, including the time until the unicorn is free."""
    plan_seconds: float = 480.0
    """Unicorns that should be free within this time can be planned; 0 turns plans off."""
    deadline_seconds: float = 180.0
    """The longest time that a rider waits for a match; the weight of waiting depends on it."""
    equal_metres: float = 100.0
    """A unicorn at most this much farther from the pickup than the chosen one is equally near: the
    one that has waited longest gets the ride."""
    driving_weight: float = 0.3
    """A round accepts this many more seconds of ETA to save one second of empty driving."""
    on_time_seconds: float = 270.0
    """The time from the request to the pickup that a rider accepts."""
    lateness_weight: float = 2.0
    """Extra seconds of cost per second of waiting beyond `on_time_seconds`."""
    hysteresis_seconds: float = 30.0
    """The seconds by which another unicorn must be better to replace a planned one."""
    priority_seconds: float = 60.0
    """The total cost of all pairs may rise by this many seconds so that a rider keeps a plan."""
    neighbours: int = 16
    """The number of nearest available, and of nearest busy, unicorns compared for a rider.

    Riders who would get none of them are compared with more.
    """
    most_pairs: int = 100_000
    """With more possible pairs the matching takes too long: then the older half of the riders is
    served first, and the younger half with the unicorns that are left."""

    @property
    def waiting_weight(self) -> float:
        """For each second that a rider has waited, a round accepts this many more seconds of ETA to
        serve that rider."""
        return self.max_pickup_eta_seconds / self.overtaking_seconds

    @property
    def overtaking_seconds(self) -> float:
        """A rider never loses a unicorn to a rider who came this much later.

        It is half the deadline, so that a rider at the edge of reach can still be served in the
        other half.
        """
        return self.deadline_seconds / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositioning:
    """The weights and limits of repositioning. Values are seconds of a rider's wait."""

    drive_weight: float = 1.25
    """For each second of the drive to a goal, a unicorn must be worth this many seconds there."""
    stay_seconds: float = 150.0
    """A unicorn within this time of a goal covers it without moving."""
    worth_seconds: float = 300.0
    """What a unicorn is worth where a rider is certain to request a ride."""
    horizon_seconds: float = 300.0
    """How far a run looks ahead: for riders to come, and for unicorns that become free."""
    remembered_seconds: float = 900.0
    """The requests of this last span say where the next riders will be."""
    rate_seconds: float = 300.0
    """The requests of this last span say how many riders there will be."""
    smooth_metres: float = 600.0
    """How far around a pickup the next ones are expected (standard deviation)."""
    least_riders: int = 20
    """With fewer remembered riders no unicorn is sent anywhere."""
    least_chance: float = 0.05
    """A unicorn that is needed with a smaller chance is not sent."""
    hysteresis_seconds: float = 30.0
    """How much better another goal must be before a unicorn on its way is sent there instead."""

    @property
    def longest_drive_seconds(self) -> float:
        """No unicorn is sent farther, however much it would be worth there."""
        return self.stay_seconds + self.worth_seconds / self.drive_weight


KNOBS: Final[Mapping[RepositioningLevel, Repositioning]] = {
    RepositioningLevel.LEAN: Repositioning(),
    RepositioningLevel.STRONG: Repositioning(drive_weight=0.7),
}
"""The weights and limits of each level. The level `OFF` has none: then no unicorn is sent."""


def tuning_with_repositioning(tuning: Tuning, level: RepositioningLevel) -> Tuning:
    """The tuning of a zone's rounds while its idle unicorns are repositioned.

    Idle unicorns then wait nearer to riders, so a round can weigh kilometres more and seconds less.
    """
    if level is RepositioningLevel.OFF:
        return tuning
    driving = 1.0 if level is RepositioningLevel.LEAN else 0.6
    return replace(tuning, driving_weight=driving, on_time_seconds=210.0)
