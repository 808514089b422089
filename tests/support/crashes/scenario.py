"""A scenario: what one process does while it may crash, and the process that does it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from service.core import unicorns
from service.core.sweep import sweep
from service.core.unicorns import Step
from service.model import Ride
from tests.support.crashes.given import RIDE_ID, ZONE
from tests.support.crashes.points import Fault, Steps, watched_fields
from tests.support.service import Service


class Process:
    """One process of the service: every call of a port is a step that may be its last."""

    def __init__(self, service: Service, fault: Fault | None = None) -> None:
        self.service = service
        self.steps = Steps(fault)
        self.ports = watched_fields(service.ports, self.steps)
        dispatcher = replace(service.dispatcher, ports=self.ports)
        self.dispatcher = watched_fields(dispatcher, self.steps)
        self.now = service.now

    def round(self) -> None:
        self.dispatcher.run(ZONE, "request-1")

    def advance(self, step: Step) -> Ride:
        return unicorns.advance(self.ports, step, "u1", RIDE_ID, self.now)

    def sweep(self) -> None:
        sweep(self.ports, self.now)


@dataclass(frozen=True)
class Scenario:
    """`act` in the world that `given` prepares; unicorns named `silent` send no positions."""

    given: Callable[[Service], None]
    act: Callable[[Process], object]
    silent: frozenset[str] = frozenset()


SCENARIOS: dict[str, Scenario] = {}

Given = Callable[[Service], None]
Act = Callable[[Process], object]


def scenarios(act: Act, *, silent: Sequence[str] = (), **given: Given) -> None:
    """Make the act a scenario in each of these situations, by the scenario's name."""
    for name, prepare in given.items():
        SCENARIOS[name] = Scenario(prepare, act, frozenset(silent))


def scenario(given: Given) -> Callable[[Act], None]:
    """Make the decorated function a scenario."""
    return lambda act: scenarios(act, **{act.__name__: given})


def a_second_each() -> Callable[[], float]:
    """A monotonic clock whose every reading is a second later than the last."""
    ticks = itertools.count()
    return lambda: float(next(ticks))
