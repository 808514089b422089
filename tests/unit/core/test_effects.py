"""What a write tells the fleet index of a ride: its version, to the unicorn that has it."""

from __future__ import annotations

import pytest

from service.core.rides import cancel_ride
from service.model import Unicorn
from tests.support.service import Service


def test_only_a_unicorn_that_has_the_ride_is_noted_with_its_version(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str | None, int | None]] = []
    refresh = service.fleet.refresh

    def remember(unicorn: Unicorn, now: object, ride_version: int | None = None) -> None:
        told.append((unicorn.ride_id, ride_version))
        refresh(unicorn, service.now, ride_version)

    monkeypatch.setattr(service.fleet, "refresh", remember)
    ride = service.matched()
    assert told[-1] == (ride.ride_id, ride.version)
    cancel_ride(service.ports, ride.ride_id, "rider-1", None, service.now)
    assert told[-1] == (None, None)
