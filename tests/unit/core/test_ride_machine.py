"""Rides survive whatever happens in whatever order, on stores in memory."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.ride_machine import RideMachine
from tests.ride_stores import FakeStores


def test_every_promise_holds_whatever_happens_in_whatever_order() -> None:
    run_state_machine_as_test(
        lambda: RideMachine(FakeStores),
        settings=settings(max_examples=2000, stateful_step_count=25),
    )
