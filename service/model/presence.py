"""Who is there: when a unicorn's silence counts, and what is known of a unicorn by its calls.

Silence counts only while a call of the unicorn could have been accepted. Each process that takes
such calls says every few seconds that it hears them, or that it had to refuse some. A unicorn's
silence begins with its last call, and not before every process heard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.model.places import Position

HEARING_GAP: Final = 0.25
"""How long nobody may say that calls are heard until it counts as an outage, in parts of the time
after which a position is stale."""

FORGOTTEN_AFTER: Final = 3
"""A process that vanished without a goodbye may still be refusing calls, cut off from Redis. So
long, in times of staleness, nobody counts as silent; then the process is taken for dead."""

OUTAGE_AT_LEAST: Final = 3
"""So many unicorns that fell silent together may be an outage; fewer are lost one by one."""

OUTAGE_SHARE: Final = 0.25
"""So large a part of the unicorns that have a ride does not fall silent at once by chance."""

OUTAGE_LASTS: Final = 3
"""So much longer than one unicorn alone, in times of staleness, those that fell silent together
keep their rides. An outage that ends by then costs no ride. Riders of a fleet that is really gone
wait no longer for it: somebody else may be free."""

FASTEST_METRES_PER_SECOND: Final = 300
"""No unicorn is faster: a position that says so waits for a second one that agrees."""

TRAIL_METRES: Final = 50
"""How far apart the places of a trail are at least: more than GPS scatters."""

TRAIL_PLACES: Final = 3

AT_PICKUP_METRES: Final = 50
"""A unicorn that is so near to a pickup has reached it: streets are wide, and GPS scatters."""

CLOCK_SKEW: Final = timedelta(seconds=30)
"""How far a phone's clock may be ahead of ours; what it recorded meanwhile is taken as now."""

PROBLEM_AFTER: Final = timedelta(seconds=60)
"""A unicorn whose reports have all been ignored for so long is shown to have a problem."""


class PositionProblem(StrEnum):
    """Why a report is no position of its unicorn."""

    TOO_LONG_AGO = "recorded_too_long_ago"
    IN_THE_FUTURE = "recorded_in_the_future"
    IMPLAUSIBLE_JUMP = "implausible_jump"
    """Faster than 300 m/s from the last position; a second report that agrees is believed."""
    NO_SUCH_UNICORN = "unknown_unicorn"


def judged(position: Position, now: datetime, stale: timedelta) -> Position | PositionProblem:
    """The position, recorded now if the phone's clock is a little ahead; or why it is none."""
    if position.recorded_at > now + CLOCK_SKEW:
        return PositionProblem.IN_THE_FUTURE
    if now - position.recorded_at > stale:
        return PositionProblem.TOO_LONG_AGO
    # Kept as it is, it would hide every later report until its own time has come.
    return replace(position, recorded_at=min(position.recorded_at, now))


@dataclass(frozen=True, slots=True)
class Hearing:
    """Since when, and until when, unicorns can be heard. `gap`: `HEARING_GAP` as a time."""

    epoch: datetime | None
    """When the index began to remember; none: it is new."""
    since: datetime | None
    """Since when every process hears; none: nobody ever said so."""
    last: datetime | None
    """Until when, as far as all of them have said so."""
    gap: timedelta

    def start(self, heard: datetime | None, now: datetime) -> datetime:
        """When a silence that lasts until now began; `heard`: the last call, if there was one.

        An instant that has not come yet was written before a clock was set back: it is left out.
        """
        if self.epoch is None or self.since is None:
            return now
        known = (self.epoch, self.since, heard)
        return max((at for at in known if at and at <= now + self.gap), default=now)

    def silence(self, heard: datetime | None, now: datetime) -> timedelta:
        """How long nothing was heard that could have been heard."""
        end = min(now, self.last) if self.last else now
        return max(timedelta(), end - self.start(heard, now))

    def could_answer(
        self, called: datetime | None, refused: datetime | None, since: datetime, now: datetime
    ) -> bool:
        """Whether a unicorn `called` after `since`, and every call could be heard all the time.

        `called`, `refused`: its last call that was answered, and its last one that was not.
        """
        if self.since is None or self.last is None or called is None:
            return False
        if refused and refused >= since:
            return False
        return self.since <= since <= called and now - self.last <= self.gap


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of a unicorn by its calls."""

    position: Position | None
    """Where it is, if it said so lately."""
    silence: timedelta
    """Since its last call of any kind, as far as a call could have been accepted."""
    unplaced: timedelta
    """Since its last fresh position, likewise."""
    problem: PositionProblem | None = None
    """Why its reports have all been ignored for a while."""
    ride_version: int | None = None
    """Of the ride it has, if that is known."""
    trail: tuple[Position, ...] = ()
    """Its last three places that are 50 m or more apart, oldest first, each fresh when it came:
    where it drove, whatever it does now and however often it says so."""


@dataclass(frozen=True, slots=True)
class SilentTogether:
    """How many unicorns fell silent at about the same time, of those that have a ride."""

    silent: int
    assigned: int

    @property
    def is_outage(self) -> bool:
        """Whether that is too large a part of the fleet to be chance."""
        return self.silent >= max(OUTAGE_AT_LEAST, OUTAGE_SHARE * self.assigned)


def silent_together(
    unicorn_id: str,
    heard: dict[str, datetime | None],
    hearing: Hearing,
    now: datetime,
    stale: timedelta,
) -> SilentTogether:
    """Of the unicorns with a ride (`heard`: their last calls), those that share its silence.

    They are silent for half the time after which one is stale, and began at most so much earlier
    or later: in an outage the calls of all stop within one interval of reporting.
    """
    start = hearing.start(heard[unicorn_id], now)
    shared = [
        at
        for at in heard.values()
        if hearing.silence(at, now) > stale / 2 and abs(hearing.start(at, now) - start) <= stale / 2
    ]
    return SilentTogether(len(shared), len(heard))
