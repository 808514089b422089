"""Positions of many unicorns at once, as a telemetry gateway sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.core import effects
from service.core.ports import Ports, Sighting
from service.core.transition import stored_unicorn
from service.model import Position, Unicorn, UnicornState

CLOCK_SKEW: Final = timedelta(seconds=30)
"""How far a unicorn's clock may be ahead of ours."""


class Refusal(StrEnum):
    """Why a position was not noted."""

    IN_THE_FUTURE = "recorded_in_the_future"
    NO_SUCH_UNICORN = "unknown_unicorn"


@dataclass(frozen=True, slots=True)
class Report:
    """What one unicorn of many is said to have sent."""

    unicorn_id: str
    position: Position


def is_in_the_future(position: Position, now: datetime) -> bool:
    """Whether it was recorded later than any clock's error explains."""
    return position.recorded_at > now + CLOCK_SKEW


def record_position(ports: Ports, unicorn_id: str, position: Position, now: datetime) -> Unicorn:
    """Note where the unicorn is (an older position than the last is ignored).

    Costs no DynamoDB write, and a read only when the index forgot the unicorn's state.
    """
    sighting = ports.fleet.record(unicorn_id, position, now)
    unicorn = sighting.unicorn
    if unicorn is None:
        unicorn = stored_unicorn(ports, unicorn_id)
        ports.fleet.refresh(unicorn, now)
    if sighting.entered and unicorn.can_take_a_ride:
        effects.trigger_around(ports, [position.location])
    return unicorn


def record_positions(
    ports: Ports, reports: Sequence[Report], now: datetime
) -> Sequence[tuple[Report, Refusal]]:
    """Note where unicorns are; returns the reports that were refused.

    As of a single position, an older one than the last is ignored, and accepted. Costs a few calls
    of Redis for all, no DynamoDB write, and reads only of unicorns whose state is not known (any
    more). Raises `Unavailable`; sending everything again is harmless.
    """
    positions = _newest(r for r in reports if not is_in_the_future(r.position, now))
    sightings = ports.fleet.record_all(positions, now)
    unicorns = _unicorns(ports, sightings, now)
    entered = [
        positions[name].location
        for name, unicorn in unicorns.items()
        if sightings[name].entered and unicorn.can_take_a_ride
    ]
    effects.trigger_around(ports, entered)
    refusals = ((report, _refusal(report, unicorns, now)) for report in reports)
    return [(report, refusal) for report, refusal in refusals if refusal]


def _unicorns(
    ports: Ports, sightings: Mapping[str, Sighting], now: datetime
) -> Mapping[str, Unicorn]:
    """All that exist; states the index does not know (any more) are read and noted there."""
    known = {name: seen.unicorn for name, seen in sightings.items() if seen.unicorn}
    unknown = sightings.keys() - known.keys()
    if unknown:
        read = ports.unicorns.get_all(unknown)
        ports.fleet.refresh_all(read.values(), now)
        if nobody := unknown - read.keys():
            ports.fleet.forget(nobody)
        known.update(read)
    return {name: u for name, u in known.items() if u.state is not UnicornState.REMOVED}


def _newest(reports: Iterable[Report]) -> dict[str, Position]:
    in_order = sorted(reports, key=lambda report: report.position.recorded_at)
    return {report.unicorn_id: report.position for report in in_order}


def _refusal(report: Report, unicorns: Mapping[str, Unicorn], now: datetime) -> Refusal | None:
    if is_in_the_future(report.position, now):
        return Refusal.IN_THE_FUTURE
    return None if report.unicorn_id in unicorns else Refusal.NO_SUCH_UNICORN
