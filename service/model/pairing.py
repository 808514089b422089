"""The unicorn that a round chose for a ride."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Pairing:
    """A ride, the unicorn chosen for it, and the drive to the pickup."""

    ride_id: str
    unicorn_id: str
    pickup_eta_seconds: int
    pickup_distance_metres: int
    pickup_eta_latest_seconds: int | None = None
    """The time within which nine of ten unicorns arrive."""

    def with_eta(self, seconds: float, latest_factor: float) -> Pairing:
        """The pairing with another pickup ETA, and `latest_factor` times it as the latest one."""
        latest = round(seconds * latest_factor)
        return replace(self, pickup_eta_seconds=round(seconds), pickup_eta_latest_seconds=latest)
