"""Hundreds of rides, few unicorns, several processes: each unicorn is won once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service.model import RideStatus, UnicornState
from service.settings import Settings
from tests.support.builders import a_ride, a_usable_unicorn
from tests.support.contention import Contest, run_in_processes
from tests.support.infrastructure import MiniStack

if TYPE_CHECKING:
    from tests.contract.conftest import Stores


@pytest.mark.timeout(300)
def test_five_hundred_rides_over_ten_unicorns_book_exactly_ten(
    dynamo_stores: Stores, tables: Settings, ministack: MiniStack
) -> None:
    rides = [a_ride(ride_id=f"r{n}", rider_id=f"rider-{n}") for n in range(500)]
    unicorns = [a_usable_unicorn(unicorn_id=f"u{n}") for n in range(10)]
    for ride in rides:
        dynamo_stores.rides.create(ride)
    for unicorn in unicorns:
        dynamo_stores.unicorns.create(unicorn)
    won = run_in_processes(Contest(rides, unicorns, tables, ministack.environment))

    stored = [dynamo_stores.rides.get(ride.ride_id) for ride in rides]
    booked = {ride.ride_id: ride.unicorn_id for ride in stored if ride and ride.unicorn_id}
    assert len(won) == len(booked) == 10
    assert dict(won) == booked
    assert set(booked.values()) == {unicorn.unicorn_id for unicorn in unicorns}
    for ride_id, unicorn_id in booked.items():
        holder = dynamo_stores.unicorns.get(unicorn_id)
        assert holder
        assert (holder.state, holder.ride_id, holder.version) == (UnicornState.RESERVED, ride_id, 2)
    waiting = [ride for ride in stored if ride and ride.status is RideStatus.REQUESTED]
    assert len(waiting) == 490
    assert {ride.version for ride in waiting} == {1}
