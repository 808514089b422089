"""The fleet index: positions and states of unicorns as last heard, in Redis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.model import (
    Advice,
    FleetEntry,
    Location,
    Position,
    PositionProblem,
    Presence,
    SilentTogether,
    Unicorn,
)
from service.model.presence import Patrol


@dataclass(frozen=True, slots=True)
class Sighting:
    """The result of recording a position, with the unicorn if its state is known.

    `is_new_here`: its last position was in another zone, stale or unknown.
    """

    unicorn: Unicorn | None
    is_new_here: bool
    ride_version: int | None = None
    """The version of the unicorn's ride, if known."""
    advice: Advice | None = None
    """Where it was told to wait, if that still holds."""
    problem: PositionProblem | None = None
    """Why all its reports have been ignored for a while, this one too; None if they have not."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """Unicorns around some places."""

    entries: Sequence[FleetEntry]
    truncated: frozenset[Location] = frozenset()
    """The places around which there may be further usable unicorns within reach."""


class FleetIndex(Protocol):
    """Positions and states of unicorns as last heard; hints only, may be out of date."""

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        """Record a position, unless a later one is known. No DynamoDB write.

        Nearly always one call, three at most.

        A position that cannot be reached at 300 m/s is kept aside until a second report agrees. If
        the sighting has no unicorn, its state is unknown or was noted more than 30 s ago: the
        caller must `refresh` it if it exists.
        """

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        """`record` for many unicorns, by id, in as few calls as for one.

        A gateway reports them, so this does not show that their drivers could answer an offer.
        """

    def refresh(self, unicorn: Unicorn, now: datetime, ride_version: int | None = None) -> None:
        """Note a state unless a newer version was noted lately, and its ride's version if given."""

    def refresh_all(self, unicorns: Collection[Unicorn], now: datetime) -> None:
        """`refresh` for many unicorns, in as few calls as for one."""

    def forget(self, unicorn_ids: Collection[str]) -> None:
        """Remove unicorns that do not exist from the index."""

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        """The entries of these unicorns; unknown ones are absent, stale positions are None."""

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        """The last position if it is fresh; known even if the state is not."""

    def reached(self, unicorn_id: str, ride_id: str) -> datetime | None:
        """When the unicorn of this ride was first recorded within 50 m of its pickup."""

    def near(
        self,
        places: Sequence[Location],
        *,
        reach_metres: float,
        per_place: int,
        now: datetime,
        equal_metres: float = 0.0,
    ) -> Nearby:
        """Usable unicorns near any of the places, and busy ones whose trips end near one.

        Only those with fresh positions.

        For each place the result has at least:
        - the `per_place` nearest usable unicorns, and one more for each other place close by;
        - of the usable unicorns that are up to `equal_metres` farther away than the last of those,
          the ones that have waited longest: `per_place`, or as many as there are places if that is
          more, because all riders may be at the same place;
        - the `per_place` busy unicorns whose trips end nearest to the place.
        """

    def of_zone(self, zone: str, now: datetime) -> Sequence[FleetEntry]:
        """Usable unicorns with fresh positions in the zone, and busy ones that drop off there."""

    def ignore_all(self, problems: Mapping[str, PositionProblem], now: datetime) -> None:
        """Note why a report was ignored, by unicorn id. Such a report does not count as a call."""

    def hear(self, unicorn_id: str, now: datetime, *, refused: bool = False) -> None:
        """Note a call of the unicorn without a position. `refused`: the service did not carry it
        out."""

    def presence(self, unicorn_id: str, now: datetime) -> Presence:
        """What the unicorn's calls tell about it. One remote call."""

    def presences(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, Presence]:
        """`presence` of many, in as few calls as of one."""

    def patrols_due(self, shard: str, now: datetime) -> Collection[Patrol]:
        """The patrols of the shard's open rides that were not noted lately (`PATROL_EVERY`)."""

    def note_patrols(self, shard: str, patrols: Collection[Patrol], now: datetime) -> None:
        """Note that these patrols have seen all rides of the shard."""

    def silent_together(self, unicorn_id: str, now: datetime) -> SilentTogether:
        """How many unicorns with a ride fell silent together with this one. Two remote calls."""

    def report_hearing(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        """Report that the process hears unicorns, or (`is_deaf`) that it missed some.

        Each process must repeat its report every few seconds. Silence counts only in a time in
        which every process has reported that it hears. This time begins anew with a deaf report,
        after a gap in the reports, and with each report while a process that reported before is
        missing. It ends with the oldest of the processes' last reports (see `model.presence`).
        """

    def could_answer(self, unicorn_id: str, since: datetime, now: datetime) -> bool:
        """Whether the unicorn itself called since then and none of its calls was refused.

        False too if a call may have been missed in that time.
        """

    def may_take_back(self, ride_id: str, unicorn_id: str, now: datetime) -> bool:
        """Whether this ride may be taken from its unicorn, which does not come. Two remote calls.

        In any minute at most `core.coming.most_taken_back` rides may be taken. The answer True
        counts the ride, and within that minute a second question about the same ride and unicorn
        is answered True, too.
        """

    def withdraw_hearing(self, process: str) -> None:
        """Withdraw the reports of a process that ends."""

    def begin_epoch(self, now: datetime) -> bool:
        """Start an epoch if there is none; True if the index is new and must be refilled."""
