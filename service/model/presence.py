"""When a unicorn counts as silent, and which facts its calls give.

Silence counts only for the time in which the service could have accepted a call of the unicorn.
Each process that accepts such calls reports every few seconds that it hears them, or that it missed
some (it refused them and does not know who called). The silence begins with the unicorn's last
call, or when all processes had begun to hear and Redis to record calls, whichever is later. It ends
with the oldest of the processes' last reports. So an outage adds nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.model.places import Position
from service.model.unicorn import Advice

HEARING_GAP: Final = 0.25
"""The longest pause between two reports of a process. A longer one counts as an outage, even if the
other processes report. In multiples of the time after which a position is stale (60 s by default,
so 15 s)."""

FORGOTTEN_AFTER: Final = 3
"""A process that stopped reporting counts as dead after this. In multiples of the time after which
a position is stale. Until then no unicorn counts as silent, because the process may be cut off from
Redis and still refuse calls."""


class Patrol(StrEnum):
    """The two kinds of patrol: one checks that unicorns call, one that they come to the pickup."""

    SILENCE = "silence"
    COMING = "coming"


PATROL_EVERY: Final = {Patrol.SILENCE: timedelta(seconds=10), Patrol.COMING: timedelta(seconds=60)}
"""How often each patrol runs. So a unicorn that has been silent for `UNICORN_STALE_SECONDS` (60)
loses its ride at most 10 s later, plus the time until the next sweep (1 s)."""

OUTAGE_AT_LEAST: Final = 3
"""The smallest number of unicorns that may count as an outage if they fall silent together."""

OUTAGE_SHARE: Final = 0.25
"""The smallest part of the unicorns with a ride that counts as an outage if they fall silent
together."""

OUTAGE_LASTS: Final = 3
"""How much longer unicorns that fell silent together keep their rides than a single silent one. In
multiples of the time after which a position is stale. An outage that ends by then costs no ride.
After it the silent unicorns count as gone, and their riders get other unicorns."""

FASTEST_METRES_PER_SECOND: Final = 300
"""No unicorn is faster. A position that cannot be reached so fast is kept aside until a second one
agrees."""

TRAIL_METRES: Final = 50
"""The least distance between a place of a trail and the next: more than the scatter of GPS."""

TRAIL_PLACES: Final = 3
"""The number of places of a trail. A unicorn that is farther from its goal at each of them is not
on a detour."""

AT_PICKUP_METRES: Final = 50
"""A unicorn within this distance of a pickup has reached it, because streets are wide and GPS
scatters."""

CLOCK_SKEW: Final = timedelta(seconds=30)
"""How far a phone's clock may be ahead of ours; a position from such a clock counts as recorded
now."""

PROBLEM_AFTER: Final = timedelta(seconds=60)
"""A unicorn whose reports have all been ignored for this long is shown with a problem."""


class PositionProblem(StrEnum):
    """Why a report does not count as a position."""

    TOO_LONG_AGO = "recorded_too_long_ago"
    IN_THE_FUTURE = "recorded_in_the_future"
    IMPLAUSIBLE_JUMP = "implausible_jump"
    """Not reached at 300 m/s from the last position; it counts once a second report agrees."""
    NO_SUCH_UNICORN = "unknown_unicorn"


def validated(position: Position, now: datetime, stale: timedelta) -> Position | PositionProblem:
    """The position, or why it does not count.

    If the phone's clock is ahead by at most `CLOCK_SKEW`, the position gets the present instant.
    """
    if position.recorded_at > now + CLOCK_SKEW:
        return PositionProblem.IN_THE_FUTURE
    if now - position.recorded_at > stale:
        return PositionProblem.TOO_LONG_AGO
    # A position recorded in the future would hide every report until that instant.
    return replace(position, recorded_at=now) if position.recorded_at > now else position


@dataclass(frozen=True, slots=True)
class Hearing:
    """From when to when all processes hear unicorns. `gap`: `HEARING_GAP` as a duration."""

    epoch: datetime | None
    """When the index began to record calls; None if it is new."""
    since: datetime | None
    """Since when every process hears; None if none has reported."""
    last: datetime | None
    """The instant up to which every process has reported that it hears."""
    gap: timedelta

    def start(self, heard: datetime | None, now: datetime) -> datetime:
        """When a silence that lasts until now began; `heard`: the unicorn's last call or None.

        Instants more than `gap` ahead are ignored: they were written before a clock was set back.
        """
        if self.epoch is None or self.since is None:
            return now
        instants = (self.epoch, self.since, heard)
        return max((at for at in instants if at and at <= now + self.gap), default=now)

    def silence(self, heard: datetime | None, now: datetime) -> timedelta:
        """How long a unicorn has been silent, counting only time in which it could be heard."""
        end = min(now, self.last) if self.last else now
        return max(timedelta(), end - self.start(heard, now))

    def could_answer(
        self, called: datetime | None, refused: datetime | None, since: datetime, now: datetime
    ) -> bool:
        """Whether a unicorn called after `since` and every call since then could be heard.

        `called`: its last call that was answered; `refused`: its last one that was not.
        """
        if self.since is None or self.last is None or called is None:
            return False
        if refused and refused >= since:
            return False
        return self.since <= since <= called and now - self.last <= self.gap


@dataclass(frozen=True, slots=True)
class Presence:
    """The facts about a unicorn that its calls give."""

    position: Position | None
    """Its last position if that is fresh."""
    silence: timedelta
    """Time since its last call of any kind, counting only time in which it could be heard."""
    unplaced: timedelta
    """Time since its last fresh position, counted in the same way."""
    problem: PositionProblem | None = None
    """Why all its reports have been ignored for a while; None if they have not."""
    ride_version: int | None = None
    """The version of its ride, if the index knows it."""
    advice: Advice | None = None
    """Where it was told to wait, if that still holds."""
    trail: tuple[Position, ...] = ()
    """Its last three places, oldest first, each at least 50 m from the one before and fresh when it
    was reported. They show where it drove, even if it now stands still and keeps reporting."""


@dataclass(frozen=True, slots=True)
class SilentTogether:
    """How many of the unicorns with a ride (`assigned`) fell silent at about the same time."""

    silent: int
    assigned: int

    @property
    def is_outage(self) -> bool:
        """Whether so large a part of the unicorns with a ride is silent that it is not chance."""
        return self.silent >= max(OUTAGE_AT_LEAST, OUTAGE_SHARE * self.assigned)


def silent_together(
    unicorn_id: str,
    heard: dict[str, datetime | None],
    hearing: Hearing,
    now: datetime,
    stale: timedelta,
) -> SilentTogether:
    """How many unicorns with a ride fell silent together with `unicorn_id`.

    `heard`: the last call of each unicorn with a ride. A unicorn counts if it has been silent for
    more than half of `stale` and its silence began within half of `stale` of this one's, because in
    an outage all calls stop within one interval of reporting.
    """
    start = hearing.start(heard[unicorn_id], now)
    shared = [
        at
        for at in heard.values()
        if hearing.silence(at, now) > stale / 2 and abs(hearing.start(at, now) - start) <= stale / 2
    ]
    return SilentTogether(len(shared), len(heard))
