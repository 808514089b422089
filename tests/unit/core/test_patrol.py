"""A ride that goes well is neither read nor written, and a silent unicorn is noticed in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from service.core.sweep import sweep
from service.model import Location, Position, Presence, Ride, RideStatus
from tests.support.service import Service

ON_THE_WAY = Location(40.7150, -74.0060)


def drive(service: Service, ride: Ride, seconds: int, *, is_heard: bool = True) -> int | None:
    """Sweep every second; returns the second in which the ride lost its unicorn, or None."""
    for second in range(1, seconds + 1):
        now = service.later(1)
        if is_heard and second % 4 == 0:
            service.fleet.record("u1", Position(ON_THE_WAY, now), now)
        sweep(service.ports, now)
        if service.stored(ride).status is RideStatus.REQUESTED:
            return second
    return None


def test_a_ride_that_goes_well_is_neither_read_nor_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = service.matched()

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a look at a ride that goes well")

    for name in ("get", "save", "postpone"):
        monkeypatch.setattr(service.rides, name, forbidden)
    for _ in range(9 * 60):
        now = service.later(1)
        service.fleet.record("u1", Position(ON_THE_WAY, now), now)
        sweep(service.ports, now)
    monkeypatch.undo()
    assert service.stored(ride) == ride


@pytest.mark.parametrize("is_redis_lost", [False, True])
def test_a_silent_unicorn_loses_its_ride_at_most_11_seconds_after_its_limit(
    service: Service, is_redis_lost: bool
) -> None:
    ride = service.matched()
    assert drive(service, ride, 120) is None
    if is_redis_lost:
        service.fleet.__init__()  # type: ignore[misc]
    lost_after = drive(service, ride, 90, is_heard=False)
    assert lost_after
    assert 60 < lost_after <= 71


def test_a_silent_unicorn_loses_its_ride_in_time_although_the_index_lacks_its_state(
    service: Service,
) -> None:
    ride = service.matched()
    service.fleet._states.clear()
    lost_after = drive(service, ride, 90, is_heard=False)
    assert lost_after
    assert lost_after <= 71


def test_a_patrol_that_runs_out_of_time_is_repeated(service: Service) -> None:
    ride = service.matched()
    sweep(service.ports, service.now)
    service.later(70)
    sweep(service.ports, service.now, time_left=lambda: False)
    assert service.stored(ride).status is RideStatus.MATCHED
    sweep(service.ports, service.later(1))
    assert service.stored(ride).status is RideStatus.REQUESTED


def test_a_backlog_of_waiting_rides_hides_no_silent_unicorn(service: Service) -> None:
    service.rides.shards = ("0",)
    ride = service.matched()
    sweep(service.ports, service.now)
    service.later(70)
    for number in range(300):
        service.request(rider_id=f"rider-{number}")
    left = iter([True, True])
    sweep(service.ports, service.later(3), time_left=lambda: next(left, False))
    assert service.stored(ride).status is RideStatus.REQUESTED


def test_a_patrol_that_runs_out_of_time_delays_no_waiting_ride(service: Service) -> None:
    service.rides.shards = ("0",)
    service.matched()
    sweep(service.ports, service.now)
    ends = service.request(rider_id="rider-2")
    service.rides.put(replace(ends, deadline_at=service.later(70), due_at=service.now))
    waits = service.request(rider_id="rider-3")
    left = iter([True])
    now = service.later(3)
    sweep(service.ports, now, time_left=lambda: next(left, False))
    assert service.stored(ends).status is RideStatus.UNMATCHED
    due_at = service.stored(waits).due_at
    assert due_at
    assert due_at > now


def test_an_unreadable_entry_hides_no_silent_unicorn(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride, broken = service.matched(), "u2"
    service.on_duty(broken)
    other = service.request(rider_id="rider-2")
    service.run_published_rounds()
    assert service.stored(other).unicorn_id == broken
    presence = service.fleet.presence

    def readable(unicorn_id: str, now: datetime) -> Presence:
        if unicorn_id == broken:
            raise ValueError("not an instant")
        return presence(unicorn_id, now)

    monkeypatch.setattr(service.fleet, "presence", readable)
    lost_after = drive(service, ride, 90, is_heard=False)
    assert lost_after
    assert lost_after <= 71


def test_an_unreadable_row_hides_no_silent_unicorn_and_the_patrol_ends(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.rides.shards = ("0",)
    ride = service.matched()
    service.on_duty("u2")
    broken = service.request(rider_id="rider-2")
    service.run_published_rounds()
    assert service.stored(broken).unicorn_id == "u2"
    sweep(service.ports, service.now)
    get = service.rides.get

    def readable(ride_id: str) -> Ride | None:
        if ride_id == broken.ride_id:
            raise ValueError("not an instant")
        return get(ride_id)

    monkeypatch.setattr(service.rides, "get", readable)
    # The broken row comes first, whatever the order of the patrol is.
    monkeypatch.setattr(
        "random.sample", lambda names, _: sorted(names, key=lambda name: name != broken.ride_id)
    )
    sweep(service.ports, service.later(70))
    assert service.stored(ride).status is RideStatus.REQUESTED
    assert not service.fleet.patrols_due("0", service.now)


def test_a_patrol_repairs_a_ride_whose_unicorn_is_not_on_it(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    ride = service.matched()
    torn = service.ports.unicorns.get("u1")
    assert torn
    service.unicorns.put(replace(torn, ride_id=None))
    service.fleet.refresh(replace(torn, ride_id=None, version=torn.version + 1), service.now)
    drive(service, ride, 12)
    assert "pair repaired" in caplog.messages
