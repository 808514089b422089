"""Rounds in tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from service.core.ports import Ports, RoundLeases
from service.core.rounds import Dispatcher
from service.matching.tuning import Tuning


def a_dispatcher(ports: Ports, leases: RoundLeases, now: Callable[[], datetime]) -> Dispatcher:
    """Rounds by the clock of a test: nothing sleeps, and claims are written one by one."""
    return Dispatcher(
        ports=ports,
        dead_letters=ports.dead_letters,
        leases=leases,
        tuning=Tuning(),
        now=now,
        monotonic=lambda: now().timestamp(),
        sleep=lambda _: None,
        commit_all=map,
    )
