"""A process ends at every I/O step of every use case, before and after the step took effect.

Whatever it leaves behind, the world goes on and is consistent within the grace: nothing lost,
nothing double, no orphan reservation, a clean waiting index. The same where a store fails at that
step and the process lives on.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import CodeType, FrameType
from typing import Any

import pytest

from service import core
from service.core.rounds import Dispatcher
from service.model.errors import DispatchError, Unavailable
from tests.support.builders import a_matched_pair
from tests.support.crashes import dispatch, operators, progress, requests
from tests.support.crashes.given import RIDE_ID
from tests.support.crashes.points import Fault, ProcessEnded, all_steps, faults_at_each
from tests.support.crashes.scenario import SCENARIOS, Process, Scenario
from tests.support.crashes.world import Outcome, World
from tests.support.service import Service

CATALOGUE = (requests, progress, dispatch, operators)
"""Importing them registers their scenarios."""

NO_USE_CASE_TAKES = {
    "DeadLetters.newest",
    "FleetIndex.report_hearing",
    "FleetIndex.withdraw_hearing",
    "Listener.wake",
    "DispatchControl.reposition",
}
"""Called by the API, by background threads, by the stores themselves or by tests."""

scenarios = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


def prepared(scenario: Scenario) -> World:
    world = World(Service(), scenario.silent)
    scenario.given(world.service)
    return world


def undisturbed(scenario: Scenario) -> Process:
    process = Process(prepared(scenario).service)
    scenario.act(process)
    return process


def acted(scenario: Scenario, world: World, fault: Fault | None = None) -> None:
    # As a client that got no answer: what the service refuses by now is no fault.
    with suppress(DispatchError):
        scenario.act(Process(world.service, fault))


def expected_outcomes(scenario: Scenario) -> tuple[Outcome, Outcome]:
    """What becomes of everything if the process does its work, and if it never began."""
    outcomes = []
    for act in (True, False):
        world = prepared(scenario)
        if act:
            acted(scenario, world)
        world.settles()
        outcomes.append(world.outcome())
    return outcomes[0], outcomes[1]


def struck(scenario: Scenario, fault: Fault) -> World:
    """The world after a process met the fault, which no code of ours may have outlived."""
    world = prepared(scenario)
    if fault.error is ProcessEnded:
        with pytest.raises(ProcessEnded):
            scenario.act(Process(world.service, fault))
    else:
        acted(scenario, world, fault)
    world.check_pairs()
    return world


@scenarios
@pytest.mark.parametrize("error", [ProcessEnded, Unavailable])
def test_a_fault_at_any_step_leaves_all_or_nothing_and_the_sweep_does_the_rest(
    scenario: Scenario, error: type[BaseException]
) -> None:
    done, never_begun = expected_outcomes(scenario)
    for fault in faults_at_each(len(undisturbed(scenario).steps.taken), error):
        world = struck(scenario, fault)
        world.loses_messages()
        world.settles()
        assert world.outcome() in (done, never_begun), fault
        world.ends()


@scenarios
@pytest.mark.parametrize("error", [ProcessEnded, Unavailable])
def test_a_client_that_tries_again_gets_what_it_asked_for_once(
    scenario: Scenario, error: type[BaseException]
) -> None:
    done, _ = expected_outcomes(scenario)
    for fault in faults_at_each(len(undisturbed(scenario).steps.taken), error):
        world = struck(scenario, fault)
        acted(scenario, world)
        world.settles()
        assert world.outcome() == done, fault


def test_a_claim_in_two_writes_would_be_noticed() -> None:
    def claim_in_two_writes(process: Process) -> None:
        ride, unicorn = process.ports.rides.get(RIDE_ID), process.ports.unicorns.get("u1")
        assert ride
        assert unicorn
        matched, reserved = a_matched_pair(ride, unicorn)
        process.ports.rides.save(ride, matched)
        process.ports.unicorns.save(unicorn, reserved)

    careless = Scenario(SCENARIOS["a_round_claims"].given, claim_in_two_writes)
    between = Fault(2, after=True)
    with pytest.raises(AssertionError):
        struck(careless, between)


def test_a_sweep_that_does_nothing_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.crashes.world.sweep", lambda ports, now: None)
    scenario = SCENARIOS["a_ride_is_requested"]
    stored = undisturbed(scenario).steps.taken.index("Rides.create")
    world = struck(scenario, Fault(stored, after=True))
    with pytest.raises(AssertionError):
        world.settles()


def test_every_io_step_belongs_to_a_scenario() -> None:
    taken = {step for each in SCENARIOS.values() for step in undisturbed(each).steps.taken}
    missing = all_steps() - taken - NO_USE_CASE_TAKES
    assert not missing, f"add scenarios to tests/support/crashes that take {sorted(missing)}"


def test_every_use_case_belongs_to_a_scenario() -> None:
    with called_code() as called:
        for each in SCENARIOS.values():
            undisturbed(each)
    missing = [name for name, code in use_cases().items() if code not in called]
    assert not missing, f"add scenarios to tests/support/crashes that call {missing}"


def use_cases() -> dict[str, CodeType]:
    """Every public function of the core that is handed the ports, by name."""
    found = {"Dispatcher.run": Dispatcher.run.__code__}
    for module in pkgutil.walk_packages(core.__path__, "service.core."):
        for name, member in vars(import_module(module.name)).items():
            is_own = inspect.isfunction(member) and member.__module__ == module.name
            if is_own and not name.startswith("_") and takes_ports(member):
                found[f"{module.name}.{name}"] = member.__code__
    return found


def takes_ports(function: Any) -> bool:
    return bool({"Ports", "Stores", "Hints"} & {str(k) for k in function.__annotations__.values()})


@contextmanager
def called_code() -> Iterator[set[CodeType]]:
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(before)
