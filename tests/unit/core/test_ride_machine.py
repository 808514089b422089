"""The promises hold for any order of events, and the state machine finds seeded mistakes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from service.api.views import DrivenRideView
from service.core import coming, timeouts, unicorns
from service.core.ports import Rules
from service.core.unicorns import Step
from service.model import Hearing, Ride, Unicorn, UnicornState
from tests.support import ride_city, ride_people
from tests.support.depth import examples
from tests.support.fakes import FakeAssignments, FakeRides
from tests.support.ride_machine import RideMachine
from tests.support.ride_stores import FakeStores


def run_machine(**how: Any) -> None:
    run_state_machine_as_test(
        lambda: RideMachine(FakeStores), settings=settings(stateful_step_count=25, **how)
    )


@pytest.mark.hypothesis
@pytest.mark.timeout(1800)
def test_every_promise_holds_for_any_order_of_events() -> None:
    run_machine(max_examples=examples(700))


def test_riders_lose_the_unicorns_of_a_herd_that_is_gone() -> None:
    machine = RideMachine(FakeStores)
    machine.a_whole_herd_vanishes(601)
    rides = machine.people.witness.rides.values()
    assert [ride.unicorn_id for ride in rides] == [None] * 3
    machine.teardown()


def a_unicorn_never_ends_its_ride() -> None:
    """A second rider waits for it, with a plan."""
    machine = RideMachine(FakeStores)
    try:
        machine.a_day_begins(herd=[(0, True)], pickups=[0, 0], steps=0)
        machine.all_goes_on_as_usual(700.0)
        machine.people.send_positions()
    finally:
        machine.people.end()


def test_the_state_machine_detects_an_endless_plan() -> None:
    """At random, nobody waits so long in a thousand runs, so this sequence is given."""
    a_unicorn_never_ends_its_ride()
    endless = patch.object(
        Rules, "ends_at", lambda _, ride, planned: ride.deadline_at + timedelta(days=30) * planned
    )
    with endless, pytest.raises(AssertionError, match="waits for ever"):
        a_unicorn_never_ends_its_ride()


def blind_commit(
    self: FakeAssignments, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]
) -> None:
    self._rides.put(ride[1])
    self._unicorns.put(unicorn[1])


def create_again(self: FakeRides, ride: Ride) -> None:
    self.put(ride)


def release_at_the_pickup(
    step: Step, unicorn: Unicorn | None, ride_id: str, now: datetime
) -> Unicorn | None:
    return unicorn and unicorn.released(ride_id, now)


def changed(method: Callable[..., Any], **changes: Any) -> Callable[..., Any]:
    """The method, but with other values in what it returns."""
    return lambda *args, **kwargs: replace(method(*args, **kwargs), **changes)


def silent_unless_heard(self: Hearing, heard: datetime | None, now: datetime) -> timedelta:
    return now - heard if heard else timedelta.max


MISTAKES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "claim without condition": lambda: patch.object(FakeAssignments, "commit", blind_commit),
    "two rides for one key": lambda: patch.object(FakeRides, "create", create_again),
    "unicorn released early": lambda: patch.object(
        unicorns, "_next_unicorn", release_at_the_pickup
    ),
    "unicorn released for good": lambda: patch.object(
        Unicorn, "released", changed(Unicorn.released, state=UnicornState.AVAILABLE)
    ),
    "unicorn removed from its ride": lambda: patch.object(
        Unicorn,
        "removed",
        lambda self: replace(
            self, version=self.version + 1, state=UnicornState.REMOVED, accepting=False
        ),
    ),
    "excluded ignored": lambda: patch.object(
        Ride, "returned", changed(Ride.returned, excluded=frozenset())
    ),
    "decliner shown whose ride it is": lambda: patch.object(
        Ride, "as_left_by", lambda self, _: self
    ),
    "due_at missing": lambda: patch.object(Ride, "claimed", changed(Ride.claimed, due_at=None)),
    "no new version": lambda: patch.object(Ride, "arrived", changed(Ride.arrived, version=2)),
    "sweep off": lambda: patch.object(ride_city, "sweep", lambda *_: 0),
    "plan forgotten at the deadline": lambda: patch.object(timeouts, "_has_plan", lambda *_: False),
    "silence judged on an empty index": lambda: patch.object(
        Hearing, "silence", silent_unless_heard
    ),
    "ride taken from a unicorn at the pickup": lambda: patch.object(
        coming, "assess", lambda *_: coming.Verdict.TAKE_BACK
    ),
    "offer shown to the rider": lambda: patch.object(ride_people, "ride_view", DrivenRideView.of),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_the_machine_finds(mistake: Callable[[], AbstractContextManager[object]]) -> None:
    with mistake(), pytest.raises(AssertionError):
        run_machine(max_examples=500, derandomize=True, database=None, phases=[Phase.generate])
