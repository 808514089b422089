"""Records positions that unicorns report one by one, or a telemetry gateway in bulk.

This module checks the time of a report, and the fleet index checks its place. A report whose time
is wrong is ignored: it counts neither as a position nor as a call. The answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from service.core import effects
from service.core.ports import Sighting, Stores
from service.core.transition import stored_unicorn
from service.core.unicorns import UnicornAndRide, with_ride
from service.model import Advice, Position, PositionProblem, Unicorn, UnicornState
from service.model.errors import Unavailable
from service.model.presence import validated

MOST_REPORTS: Final = 3
"""The most reports of one unicorn that one call records, the latest ones. Three are enough for a
position, a jump, and a report that agrees with the jump. The second
and the third cost a call to Redis each."""


@dataclass(frozen=True, slots=True)
class Report:
    """A position that a gateway reports for one unicorn."""

    unicorn_id: str
    position: Position


@dataclass(frozen=True, slots=True)
class Noted:
    """The result of a report."""

    unicorn: Unicorn | None
    """None if the report was `ignored`, or if the state of the unicorn is unknown at the
    moment."""
    ride_version: int | None = None
    """The version of the unicorn's ride, if known."""
    advice: Advice | None = None
    """Where the unicorn was told to wait, if it is idle."""
    ignored: PositionProblem | None = None
    """Why the report was ignored, if its time is wrong."""
    trouble: str = ""
    """The problem with which the unicorn is shown, because all its reports, this one too, have been
    ignored for a while; empty if there is none."""


def record_position(ports: Stores, unicorn_id: str, position: Position, now: datetime) -> Noted:
    """Record a unicorn's position. One that is older than the last is not stored, but is a call.

    Nearly always one call to Redis, and no DynamoDB write. A read only if the index lacks the
    unicorn's state, or has had it for 30 s.
    Raises `UnicornNotFound` and `Unavailable`; repeating is harmless.
    """
    place = validated(position, now, ports.rules.stale_after)
    if isinstance(place, PositionProblem):
        ports.fleet.ignore_all({unicorn_id: place}, now)
        return Noted(None, ignored=place)
    sighting = ports.fleet.record(unicorn_id, place, now)
    if sighting.unicorn is None and (both := _refreshed(ports, unicorn_id, now)):
        sighting = replace(sighting, unicorn=both.unicorn, ride_version=both.ride_version)
    noted = Noted(
        sighting.unicorn,
        sighting.ride_version,
        advice_for(sighting),
        trouble=sighting.problem or "",
    )
    if sighting.is_new_here and noted.unicorn and noted.unicorn.can_take_a_ride:
        effects.trigger_around(ports, [place.location])
    return noted


def advice_for(sighting: Sighting) -> Advice | None:
    """The advice to the unicorn; None if it cannot take a ride, because a claim ends its advice."""
    unicorn = sighting.unicorn
    return sighting.advice if unicorn and unicorn.can_take_a_ride else None


def _refreshed(ports: Stores, unicorn_id: str, now: datetime) -> UnicornAndRide | None:
    """The unicorn and its ride as stored; None if DynamoDB does not answer."""
    try:
        both = with_ride(ports, stored_unicorn(ports, unicorn_id), now)
    except Unavailable:
        return None
    ports.fleet.refresh(both.unicorn, now, both.ride_version)
    return both


def record_positions(
    ports: Stores, reports: Sequence[Report], now: datetime
) -> Sequence[PositionProblem | None]:
    """Record positions of many unicorns; returns for each report what is wrong with it, or None.

    `PositionProblem.NO_SUCH_UNICORN` means that the unicorn does not exist. A position older than
    the last one is not stored, which is no error; nor is a jump. A few calls to Redis for all, no
    DynamoDB write, and reads only for unicorns whose state the index lacks, or has had for 30 s.
    Raises `Unavailable`; repeating is
    harmless.
    """
    places = [validated(report.position, now, ports.rules.stale_after) for report in reports]
    pairs = list(zip(reports, places, strict=True))
    waves = _waves((r.unicorn_id, p) for r, p in pairs if isinstance(p, Position))
    positions = {unicorn_id: place for wave in waves for unicorn_id, place in wave.items()}
    problems = {r.unicorn_id: p for r, p in pairs if isinstance(p, PositionProblem)}
    ports.fleet.ignore_all({n: p for n, p in problems.items() if n not in positions}, now)
    sightings = _recorded(ports, waves, now)
    unicorns = _unicorns(ports, sightings, now)
    entered = [
        positions[unicorn_id].location
        for unicorn_id, unicorn in unicorns.items()
        if unicorn and sightings[unicorn_id].is_new_here and unicorn.can_take_a_ride
    ]
    effects.trigger_around(ports, entered)
    return [_problem(report, place, unicorns) for report, place in pairs]


def _unicorns(
    ports: Stores, sightings: Mapping[str, Sighting], now: datetime
) -> Mapping[str, Unicorn | None]:
    """The unicorns that exist. Reads the states that are missing, and adds them to the index.

    None stands for a unicorn whose row cannot be read; its position is recorded nevertheless.
    """
    unicorns: dict[str, Unicorn | None] = {
        unicorn_id: seen.unicorn for unicorn_id, seen in sightings.items() if seen.unicorn
    }
    unread = sightings.keys() - unicorns.keys()
    if unread:
        read = ports.unicorns.get_all(unread)
        ports.fleet.refresh_all([each for each in read.values() if each], now)
        if nobody := unread - read.keys():
            ports.fleet.forget(nobody)
        unicorns.update(read)
    return {
        unicorn_id: u
        for unicorn_id, u in unicorns.items()
        if u is None or u.state is not UnicornState.REMOVED
    }


def _waves(positions: Iterable[tuple[str, Position]]) -> Sequence[Mapping[str, Position]]:
    """The latest reports of each unicorn, oldest first; a wave has at most one of each unicorn.

    They are recorded one after the other, so that a jump does not hide the report before it.
    """
    latest: dict[str, list[Position]] = {}
    for unicorn_id, position in sorted(positions, key=lambda named: named[1].recorded_at):
        latest[unicorn_id] = [*latest.get(unicorn_id, []), position][-MOST_REPORTS:]
    return [
        {
            unicorn_id: places[number]
            for unicorn_id, places in latest.items()
            if number < len(places)
        }
        for number in range(max(map(len, latest.values()), default=0))
    ]


def _recorded(
    ports: Stores, waves: Sequence[Mapping[str, Position]], now: datetime
) -> Mapping[str, Sighting]:
    """The sighting of each unicorn's last report; new in the zone if any of its reports was."""
    sightings: dict[str, Sighting] = {}
    for wave in waves:
        for unicorn_id, seen in ports.fleet.record_all(wave, now).items():
            was_new_here = unicorn_id in sightings and sightings[unicorn_id].is_new_here
            sightings[unicorn_id] = replace(seen, is_new_here=True) if was_new_here else seen
    return sightings


def _problem(
    report: Report, place: Position | PositionProblem, unicorns: Mapping[str, Unicorn | None]
) -> PositionProblem | None:
    if isinstance(place, PositionProblem):
        return place
    return None if report.unicorn_id in unicorns else PositionProblem.NO_SUCH_UNICORN
