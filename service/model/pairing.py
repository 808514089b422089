"""Which unicorn a round chose for a ride."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Pairing:
    """A ride and the unicorn chosen for it, with what the choice costs."""

    ride_id: str
    unicorn_id: str
    pickup_eta_seconds: int
    pickup_distance_metres: int
    pickup_eta_latest_seconds: int | None = None
    """Nine of ten unicorns are there by then."""

    def retold(self, seconds: float, latest_factor: float) -> Pairing:
        """The same with another pickup ETA, and with `latest_factor` times that as the latest."""
        latest = round(seconds * latest_factor)
        return replace(self, pickup_eta_seconds=round(seconds), pickup_eta_latest_seconds=latest)
