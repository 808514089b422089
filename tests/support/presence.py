"""Processes that hear unicorns while a test's clock goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.core.ports import FleetIndex
from service.model.errors import Unavailable

EVERY = timedelta(seconds=10)
"""Shorter than the gap after which nobody seems to hear."""


def hear_through(fleet: FleetIndex, start: datetime, end: datetime, process: str = "api-1") -> None:
    """One process hears everything from `start` to `end`; with Redis away it cannot say so."""
    instant = start
    while True:
        try:
            fleet.report_hearing(process, instant)
        except Unavailable:
            return
        if instant >= end:
            return
        instant = min(end, instant + EVERY)
