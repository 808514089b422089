"""A rider is erased from every ride that has ended; what could not be erased is named."""

from __future__ import annotations

import pytest

from service.core.erasure import Erasure, erase_rider
from service.core.ports import WriteConflict
from tests.support.builders import a_finished_ride, a_ride
from tests.support.service import Service


def test_ended_rides_are_erased_and_open_ones_named(service: Service) -> None:
    service.rides.put(a_finished_ride(ride_id="ended"))
    service.rides.put(a_ride(ride_id="open"))
    assert erase_rider(service.rides, service.dead_letters, "rider-1") == Erasure(1, ("open",))
    assert erase_rider(service.rides, service.dead_letters, "rider-1") == Erasure(0, ("open",))


def test_a_ride_that_changed_at_the_same_moment_is_named_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise WriteConflict

    service.rides.put(a_finished_ride(ride_id="contended"))
    monkeypatch.setattr(service.rides, "save", lose)
    assert erase_rider(service.rides, service.dead_letters, "rider-1") == Erasure(0, ("contended",))
