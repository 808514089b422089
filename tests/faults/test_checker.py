"""The checker of the chaos runs finds nothing in a good run, and each seeded bug."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from service.core import sweep, unicorns
from service.core.rides import RideOrder
from service.core.unicorns import Step
from service.model import Hearing, Ride, Unicorn
from tests.load.chaos import timing
from tests.load.chaos.checker import check
from tests.load.chaos.evidence import Evidence
from tests.load.chaos.simulation import Simulation
from tests.load.chaos.world import World
from tests.support.fakes import FakeAssignments, FakeRides
from tests.support.fakes_redis import FakeRoundLease

Patch = pytest.MonkeyPatch
CALM = World(
    lost_jobs=0,
    lost_redis=0,
    second_round=0,
    cancel=0,
    unicorns=40,
    seconds=300,
    arrival=0.02,
    step=0.015,
    arrival_while_reading=0.6,
)
FORGETFUL_REDIS = World(lost_redis=0.15, cancel=0)


def broken_rules(evidence: Evidence) -> set[str]:
    late = {"late_rides" for _ in timing.late_rides(evidence)}
    return late | {violation.rule for violation in check(evidence)}


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_good_service_breaks_no_rule_whatever_is_lost(seed: int) -> None:
    evidence = Simulation(World(seed=seed)).run()
    assert [str(violation) for violation in check(evidence)] == []
    assert len(evidence.rides) > 40
    assert {ride.status for ride in evidence.rides} >= {"completed", "canceled"}


def test_a_good_service_needs_no_sweep_where_nothing_fails() -> None:
    evidence = Simulation(CALM).run()
    assert broken_rules(evidence) == set()
    assert len(timing.calm(evidence)) > 20


def claim_without_condition(patch: Patch) -> None:
    def commit(
        self: FakeAssignments, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]
    ) -> None:
        self._rides.put(ride[1])
        self._unicorns.put(unicorn[1])

    patch.setattr(FakeAssignments, "commit", commit)


def sweep_off(patch: Patch) -> None:
    patch.setattr(sweep, "sweep", lambda ports, now: 0)


def early_release(patch: Patch) -> None:
    """A unicorn counts as free as soon as its rider is aboard."""
    original = unicorns._next_unicorn

    def next_unicorn(
        step: Step, unicorn: Unicorn | None, ride_id: str, now: datetime
    ) -> Unicorn | None:
        if step is Step.START and unicorn:
            return unicorn.released(ride_id, now)
        if step is Step.COMPLETE:
            return unicorn
        return original(step, unicorn, ride_id, now)

    patch.setattr(unicorns, "_next_unicorn", next_unicorn)


def mark_cleared_after_the_read(patch: Patch) -> None:
    original = FakeRoundLease.release_unless_marked

    def leave(self: FakeRoundLease) -> bool:
        self._waiting.marks.pop(self.zone, None)
        return original(self)

    patch.setattr(FakeRoundLease, "release_unless_marked", leave)


def silence_judged_on_an_empty_index(patch: Patch) -> None:
    def silence(self: Hearing, heard: datetime | None, now: datetime) -> timedelta:
        return now - heard if heard else timedelta(days=1)

    patch.setattr(Hearing, "silence", silence)


def answer_before_it_is_stored(patch: Patch) -> None:
    patch.setattr(FakeRides, "create", lambda self, ride: None)


def a_new_ride_for_every_repeat(patch: Patch) -> None:
    patch.setattr(RideOrder, "ride_id", property(lambda self: str(uuid.uuid4())))


def release_forgotten(patch: Patch) -> None:
    original = unicorns._next_unicorn

    def next_unicorn(
        step: Step, unicorn: Unicorn | None, ride_id: str, now: datetime
    ) -> Unicorn | None:
        return unicorn if step is Step.COMPLETE else original(step, unicorn, ride_id, now)

    patch.setattr(unicorns, "_next_unicorn", next_unicorn)


@pytest.mark.parametrize(
    ("bug", "rule", "world"),
    [
        (claim_without_condition, "no_unicorn_has_two_rides", World()),
        (claim_without_condition, "claims_add_up", World()),
        (sweep_off, "no_accepted_ride_is_lost", FORGETFUL_REDIS),
        (early_release, "no_unicorn_has_two_rides", World()),
        (mark_cleared_after_the_read, "late_rides", CALM),
        (silence_judged_on_an_empty_index, "a_unicorn_that_is_heard_keeps_its_ride", World()),
        (answer_before_it_is_stored, "no_accepted_ride_is_lost", World()),
        (a_new_ride_for_every_repeat, "one_key_makes_one_ride", World()),
        (release_forgotten, "no_reservation_is_orphaned", World()),
    ],
    ids=lambda value: getattr(value, "__name__", "" if isinstance(value, World) else value),
)
def test_a_seeded_bug_is_found(
    monkeypatch: Patch, bug: Callable[[Patch], None], rule: str, world: World
) -> None:
    bug(monkeypatch)
    assert rule in broken_rules(Simulation(world).run())
