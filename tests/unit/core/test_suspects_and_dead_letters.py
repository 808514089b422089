"""A ride that crashes its rounds is found and set aside, and the other rides are still served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from service.core import dead_letters, pairing
from service.core.dead_letters import DEATHS_ALONE
from service.core.erasure import erase_rider
from service.core.sweep import sweep
from service.core.transition import stored_ride
from service.model import Location, Ride, RideStatus
from service.model.errors import DeadLetterNotFound, IllegalTransition, Unavailable
from service.model.operations import DeadLetter, DeadLetterKind
from tests.support.builders import a_ride
from tests.support.service import Service

DEADLY = Location(13.0, 13.0)


class Crash(BaseException):
    """What the process dies of."""


@contextmanager
def deadly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pairing a ride to the deadly place crashes the process meanwhile."""
    match = pairing.match

    def crashing(waiting: Any, *rest: Any, **named: Any) -> Any:
        if any(ride.dropoff == DEADLY for ride in waiting):
            raise Crash
        return match(waiting, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(pairing, "match", crashing)
        yield


def crashes(service: Service, ride: Ride) -> int:
    """Run rounds until the ride is no longer requested; returns how many of them crashed."""
    count = 0
    for _ in range(20):
        try:
            service.dispatcher.run(ride.zone, "")
        except Crash:
            count += 1
        if service.stored(ride).status is not RideStatus.REQUESTED:
            return count
    raise AssertionError("the ride is never set aside")


def test_a_ride_that_crashes_every_round_is_set_aside(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on_duty()
    poison, healthy = service.request(dropoff=DEADLY), service.request("rider-2")
    with deadly(monkeypatch):
        assert crashes(service, poison) == 1 + DEATHS_ALONE
    assert service.stored(poison).status is RideStatus.UNMATCHED
    assert service.stored(healthy).status is RideStatus.MATCHED
    letter = service.dead_letters.get(f"ride-{poison.ride_id}")
    assert letter
    assert (letter.kind, letter.ride_id) == (DeadLetterKind.RIDE, poison.ride_id)
    assert poison.ride_id not in service.waiting.rides[poison.zone]


def test_rides_that_dead_processes_held_together_do_not_stay_suspects(service: Service) -> None:
    rides = [service.request(f"rider-{number}") for number in range(3)]
    zone = rides[0].zone
    for _ in range(5):
        # As if a worker were killed in the middle of its round, again and again.
        service.waiting.running[zone] = {ride.ride_id for ride in rides}
        service.dispatcher.run(zone, "")
        assert service.waiting.running[zone] == set()
    assert service.waiting.alone[zone] == {}
    assert [service.stored(ride).status for ride in rides] == [RideStatus.REQUESTED] * 3


def test_the_count_is_written_before_the_ride_is_tried(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = service.request(dropoff=DEADLY)
    service.waiting.running[poison.zone] = {poison.ride_id}
    with deadly(monkeypatch), pytest.raises(Crash):
        service.dispatcher.run(poison.zone, "")
    assert service.waiting.alone[poison.zone] == {poison.ride_id: 1}
    assert service.stored(poison) == poison


def test_an_exception_with_a_suspect_alone_clears_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = service.request()
    service.waiting.running[ride.zone] = {ride.ride_id}
    failing = Mock(wraps=service.fleet, **{"near.side_effect": Unavailable("away")})
    service.dispatch_with(fleet=failing)
    for _ in range(5):
        service.waiting.running[ride.zone] = {ride.ride_id}
        service.dispatcher.run(ride.zone, "")
        assert not service.waiting.alone[ride.zone]
        assert not service.waiting.running[ride.zone]
    assert service.dead_letters.newest(limit=1, start=None).items == ()


def test_new_rides_do_not_wait_for_the_suspects(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = service.request(dropoff=DEADLY)
    service.waiting.running[poison.zone] = {poison.ride_id}
    service.on_duty()
    healthy = service.request("rider-2")
    with deadly(monkeypatch), pytest.raises(Crash):
        service.dispatcher.run(poison.zone, "")
    assert service.stored(healthy).status is RideStatus.MATCHED


def test_a_suspect_that_ended_meanwhile_is_left_alone(service: Service) -> None:
    service.on_duty()
    ride = service.request()
    service.rides.put(a_ride(ride_id=ride.ride_id, status=RideStatus.CANCELED, version=2))
    service.waiting.running[ride.zone] = {ride.ride_id}
    service.dispatcher.run(ride.zone, "")
    assert not service.waiting.alone.get(ride.zone)
    assert service.waiting.rides[ride.zone] == {}


def test_suspects_wait_for_the_next_job_when_the_time_is_up(service: Service) -> None:
    rides = [service.request(f"rider-{number}") for number in range(3)]
    zone = rides[0].zone
    service.waiting.running[zone] = {ride.ride_id for ride in rides}
    service.waiting.marks.clear()
    clock = iter(range(100))
    object.__setattr__(service.dispatcher, "monotonic", lambda: float(next(clock)))
    service.dispatcher.run(zone, "")
    assert len(service.waiting.running[zone]) >= 1
    assert service.rounds.published[-1] == (zone, "")


def replay(service: Service, letter_id: str) -> DeadLetter:
    return dead_letters.replay(service.ports, service.dead_letters, letter_id, service.now)


def set_aside(service: Service) -> Ride:
    ride = service.request(note="window seat")
    service.rides.put(a_ride(ride_id=ride.ride_id, zone=ride.zone, excluded=frozenset({"u9"})))
    dead_letters.set_aside_ride(
        service.ports, service.dead_letters, service.stored(ride), service.now
    )
    assert service.stored(ride).status is RideStatus.UNMATCHED
    return service.stored(ride)


def test_a_replayed_ride_is_requested_with_a_fresh_deadline(service: Service) -> None:
    ride = set_aside(service)
    now = service.later(600)
    service.rounds.published.clear()
    service.waiting.marks.clear()
    letter = replay(service, f"ride-{ride.ride_id}")
    assert letter.replayed_at == now
    again = service.stored(ride)
    assert (again.status, again.version) == (RideStatus.REQUESTED, ride.version + 1)
    assert again.deadline_at == now + timedelta(seconds=180)
    assert again.excluded == frozenset({"u9"})
    assert service.rounds.published == [(ride.zone, ride.request_id)]
    service.later(181)
    sweep(service.ports, service.now)
    assert service.stored(ride).status is RideStatus.UNMATCHED


def test_replaying_twice_changes_nothing_more(service: Service) -> None:
    ride = set_aside(service)
    name = f"ride-{ride.ride_id}"
    replay(service, name)
    once = service.stored(ride)
    replay(service, name)
    assert service.stored(ride) == once


def test_a_replayed_ride_that_ends_unmatched_again_can_be_replayed_again(service: Service) -> None:
    ride = set_aside(service)
    name = f"ride-{ride.ride_id}"
    for _ in range(3):
        letter = replay(service, name)
        assert letter.replayed_at == service.now
        assert service.stored(ride).status is RideStatus.REQUESTED
        service.later(181)
        sweep(service.ports, service.now)
        assert service.stored(ride).status is RideStatus.UNMATCHED


def test_a_replay_works_although_it_cannot_be_noted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the table is away")

    ride = set_aside(service)
    monkeypatch.setattr(service.dead_letters, "mark_replayed", away)
    replay(service, f"ride-{ride.ride_id}")
    assert service.stored(ride).status is RideStatus.REQUESTED


def test_a_dead_letter_of_an_erased_rider_cannot_be_replayed(service: Service) -> None:
    ride = set_aside(service)
    letter = service.dead_letters.get(f"ride-{ride.ride_id}")
    assert letter
    erase_rider(service.rides, service.dead_letters, ride.rider_id, service.now)
    with pytest.raises(DeadLetterNotFound):
        replay(service, letter.dead_letter_id)
    # A letter that a crashed round wrote meanwhile, or that the release before had kept.
    service.dead_letters.put(letter)
    with pytest.raises(DeadLetterNotFound):
        replay(service, letter.dead_letter_id)
    assert service.stored(ride).status is RideStatus.UNMATCHED


def an_old_letter(service: Service, ride: Ride) -> None:
    """About an unreadable entry, with its content, as the release before this one kept it."""
    _, name = dead_letters.letters_about(ride.ride_id)
    letter = DeadLetter(
        dead_letter_id=name,
        kind=DeadLetterKind.ENTRY,
        cause="unreadable",
        set_aside_at=service.now,
        ride_id=ride.ride_id,
        excerpt='[1, {"rider_id": …',
    )
    service.dead_letters.put(letter)


def test_erasing_a_rider_deletes_the_letters_about_its_rides(service: Service) -> None:
    ride, other = set_aside(service), service.request("rider-2")
    an_old_letter(service, ride)
    an_old_letter(service, other)
    erase_rider(service.rides, service.dead_letters, ride.rider_id, service.now)
    (letter,) = service.dead_letters.newest(limit=10, start=None).items
    assert letter.ride_id == other.ride_id


def test_a_ride_that_is_set_aside_again_can_be_replayed_again(service: Service) -> None:
    ride = set_aside(service)
    name = f"ride-{ride.ride_id}"
    replay(service, name)
    dead_letters.set_aside_ride(
        service.ports, service.dead_letters, service.stored(ride), service.later(10)
    )
    replay(service, name)
    assert service.stored(ride).status is RideStatus.REQUESTED


def test_a_ride_that_got_its_unicorn_is_not_replayed(service: Service) -> None:
    ride = service.matched()
    dead_letters.set_aside_ride(service.ports, service.dead_letters, ride, service.now)
    assert service.stored(ride) == ride
    replay(service, f"ride-{ride.ride_id}")
    assert service.stored(ride) == ride


def test_only_an_unmatched_ride_can_be_replayed() -> None:
    with pytest.raises(IllegalTransition):
        a_ride().replayed(a_ride().requested_at, timedelta(seconds=1))


@pytest.mark.parametrize("kind", [DeadLetterKind.ENTRY, DeadLetterKind.MESSAGE])
def test_a_letter_of_a_former_kind_is_only_noted_as_replayed(
    service: Service, kind: DeadLetterKind
) -> None:
    ride = service.request()
    service.rounds.published.clear()
    letter = DeadLetter(
        dead_letter_id="old",
        kind=kind,
        cause="from the release before",
        set_aside_at=service.now,
        ride_id=ride.ride_id,
        excerpt="?",
    )
    service.dead_letters.put(letter)
    replayed = replay(service, "old")
    assert replayed == replace(letter, replayed_at=service.now)
    assert service.dead_letters.get("old") == replayed
    assert service.rounds.published == []


def test_a_ride_whose_letter_cannot_be_written_is_not_ended(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ride = service.request()

    def away(_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(service.dead_letters, "put", away)
    with pytest.raises(Unavailable):
        dead_letters.set_aside_ride(service.ports, service.dead_letters, ride, service.now)
    assert service.stored(ride).status is RideStatus.REQUESTED
    assert stored_ride(service.ports, ride.ride_id) == service.stored(ride)
