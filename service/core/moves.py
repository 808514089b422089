"""Repositioning: every `REPOSITION_SECONDS`, advises the idle unicorns of each zone where to wait.

Advice is only a hint: a driver need not follow it, and a claim ends it. If advice is lost, the next
run gives new advice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import h3

from service.core.effects import unicorn_topic
from service.core.ports import (
    Changes,
    DispatchControl,
    FleetIndex,
    LastRun,
    MoveMemory,
    Outlook,
    RecentRequest,
)
from service.core.travel_times import ZoneTimes
from service.matching.demand import GOAL_RESOLUTION, Demand, Move, Moves
from service.matching.following import Progress, progress, trust_after
from service.matching.repositioning import reposition
from service.matching.travel import TravelTimes, places
from service.matching.tuning import KNOBS, Repositioning
from service.model import Advice, FleetEntry, RepositioningLevel


@dataclass(frozen=True, slots=True)
class RunReport:
    """The results of a run, for the metrics.

    `predicted`, `real` and `apart` are numbers of riders over all goals. A run reports them once
    per horizon (`Repositioning.horizon_seconds`), for the horizon that has ended; else they are 0.
    """

    sent: int = 0
    """Unicorns that got a new goal."""
    followed: int = 0
    ignored: int = 0
    rewarded: int = 0
    """Unicorns that got a ride after they had followed their advice."""
    metres: float = 0.0
    """The metres that unicorns drove towards their goals."""
    predicted: float = 0.0
    real: float = 0.0
    apart: float = 0.0
    """The differences between predicted and real riders, added up over the goals."""


@dataclass(frozen=True, slots=True)
class Repositioner:
    """Advises zones, again and again. `period`: the time from one run to the next."""

    moves: MoveMemory
    fleet: FleetIndex
    control: DispatchControl
    changes: Changes
    times: ZoneTimes
    """The travel times of the zones. A run chooses goals by their straight-line times."""
    ways: TravelTimes | None
    """The drive times of the routing engine: infinite where it knows no way or does not answer.

    None if the service has no engine. A run chooses moves by straight line and then drops those
    whose drive is too long by the engine, so that no unicorn is sent across a river."""
    period: timedelta

    def run(self, zone: str, now: datetime) -> RunReport | None:
        """Advise the zone's idle unicorns where to wait.

        None if the last run was less than half a period ago, or if repositioning is off and no
        advice is left to withdraw. Raises `Unavailable`.
        """
        outlook = self.moves.outlook(zone, now)
        last = _of_now(outlook.last, now, 3 * self.period)
        if last.at > now - self.period / 2:
            return None
        level = self.control.current().level_of(zone)
        if level is RepositioningLevel.OFF and not last.moves:
            return None
        fleet = self.fleet.of_zone(zone, now)
        seen = progress(
            last.moves, fleet, (now - last.at).total_seconds(), self.times.straight(zone, now)
        )
        trust = trust_after(last.trust, seen)
        found = self._moves(zone, level, outlook, fleet, replace(last, trust=trust), now)
        after, report = _summarized(replace(last, at=now), trust, seen, found, fleet)
        after, report = _compared(after, report, found.expected, outlook.requests, now)
        self.moves.advise(zone, after, [self._advice(move, now) for move in found.moves])
        self.changes.announce(*map(unicorn_topic, _news(last.moves, found.moves)))
        return report

    def _moves(
        self,
        zone: str,
        level: RepositioningLevel,
        outlook: Outlook,
        fleet: Sequence[FleetEntry],
        last: LastRun,
        now: datetime,
    ) -> Moves:
        """The moves of the zone; none while Redis is new, because it then knows few riders."""
        knobs = KNOBS.get(level)
        rate = timedelta(seconds=knobs.rate_seconds) if knobs else timedelta()
        if knobs is None or outlook.since is None or not outlook.since <= now - rate:
            return Moves()
        trips, remaining = self.times.straight_trips(zone, now)
        found = reposition(
            fleet,
            demand_of(outlook.requests, now, knobs),
            now,
            knobs,
            self.times.straight(zone, now),
            remaining,
            trips,
            planned=outlook.planned,
            goal_by_unicorn=last.goal_by_unicorn,
            trust=last.trust,
        )
        return self._reachable(found, fleet, knobs) if self.ways and found.moves else found

    def _reachable(self, found: Moves, fleet: Sequence[FleetEntry], knobs: Repositioning) -> Moves:
        """The moves without those that are too long, or impossible, by the routing engine."""
        assert self.ways  # noqa: S101 - asked only where there is one
        at = {e.unicorn.unicorn_id: e.position.location for e in fleet if e.position}
        seconds, _ = self.ways.estimate(
            places(at[move.unicorn_id] for move in found.moves),
            places(move.target for move in found.moves),
        )
        moves = tuple(
            move
            for move, drive in zip(found.moves, seconds.tolist(), strict=True)
            if drive <= knobs.longest_drive_seconds
        )
        dropped = {move.unicorn_id for move in found.moves} - {m.unicorn_id for m in moves}
        goal_by_unicorn = {
            unicorn_id: cell
            for unicorn_id, cell in found.goal_by_unicorn.items()
            if unicorn_id not in dropped
        }
        return replace(found, moves=moves, goal_by_unicorn=goal_by_unicorn)

    def _advice(self, move: Move, now: datetime) -> Advice:
        # Valid for two periods, so that it outlasts one late or missed run.
        return Advice(move.unicorn_id, move.cell, move.target, now, now + 2 * self.period)


def demand_of(requests: Sequence[RecentRequest], now: datetime, knobs: Repositioning) -> Demand:
    """The demand that the requests of the last minutes show."""
    ages = [((now - each.at).total_seconds(), each.cell) for each in requests]
    return Demand(
        by_cell=Counter(cell for age, cell in ages if 0 <= age < knobs.remembered_seconds),
        lately=sum(0 <= age < knobs.rate_seconds for age, _ in ages),
    )


def _of_now(last: LastRun | None, now: datetime, most: timedelta) -> LastRun:
    """The last run, or an empty one; if it is older than `most` or in the future, only its trust.

    The last run is in the future if a clock was set back after it.
    """
    if last is None:
        return LastRun(at=now - most)
    if now - most <= last.at <= now:
        return last
    return LastRun(at=now - most, trust=last.trust)


def _summarized(
    last: LastRun,
    trust: Mapping[str, float],
    seen: Mapping[str, Progress],
    found: Moves,
    fleet: Sequence[FleetEntry],
) -> tuple[LastRun, RunReport]:
    """What the next run needs of this one, without predictions; and the report of this run."""
    has_ride = {entry.unicorn.unicorn_id for entry in fleet if entry.unicorn.ride_id}
    present = {entry.unicorn.unicorn_id for entry in fleet}
    followers = last.followers | {unicorn_id for unicorn_id, each in seen.items() if each.followed}
    before = {move.unicorn_id: move.cell for move in last.moves}
    after = replace(
        last,
        moves=found.moves,
        goal_by_unicorn=found.goal_by_unicorn,
        trust=trust,
        followers=(followers & present) - has_ride,
    )
    return after, RunReport(
        sent=sum(before.get(move.unicorn_id) != move.cell for move in found.moves),
        followed=sum(each.followed for each in seen.values()),
        ignored=sum(not each.followed for each in seen.values()),
        rewarded=len(followers & has_ride),
        metres=sum(each.metres for each in seen.values()),
    )


def _compared(
    after: LastRun,
    report: RunReport,
    predicted: Mapping[str, float],
    requests: Sequence[RecentRequest],
    now: datetime,
) -> tuple[LastRun, RunReport]:
    """Once per horizon: compare the old prediction with the requests since, and store a new one."""
    made_at, horizon = after.predicted_at, timedelta(seconds=Repositioning().horizon_seconds)
    if made_at and now - made_at < horizon:
        return after, report
    renewed = replace(after, predicted_at=now, predicted=predicted)
    if made_at is None:
        return renewed, report
    real = Counter(
        h3.cell_to_parent(each.cell, GOAL_RESOLUTION)
        for each in requests
        if made_at < each.at <= made_at + horizon
    )
    goals = after.predicted.keys() | real.keys()
    return renewed, replace(
        report,
        predicted=sum(after.predicted.values()),
        real=float(real.total()),
        apart=sum(abs(after.predicted.get(goal, 0.0) - real[goal]) for goal in goals),
    )


def _news(before: Collection[Move], after: Collection[Move]) -> list[str]:
    """The unicorns whose goal has changed or ended."""
    changed = {(m.unicorn_id, m.cell) for m in before} ^ {(m.unicorn_id, m.cell) for m in after}
    return sorted({unicorn_id for unicorn_id, _ in changed})
