"""What the use cases need from the outside. A protocol stands here only where a fake exists too.

Every method may raise `Unavailable`. The DynamoDB side (`Rides`, `Unicorns`, `Assignments`) is the
truth and decides by conditional writes; the Redis side (`FleetIndex`, `WaitingRides`, `Changes`)
may lose everything at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from service.core.arrivals import Arrivals
from service.core.outlook import MoveMemory
from service.core.times import Corrections, ZoneTimes
from service.matching.correction import Correction, Kind, Leg
from service.matching.promises import Promise
from service.matching.travel import GreatCircle
from service.model import (
    Advice,
    FleetEntry,
    Location,
    Page,
    Pairing,
    Position,
    PositionProblem,
    Presence,
    Ride,
    RideStatus,
    SilentTogether,
    Unicorn,
    Weight,
)
from service.model.errors import DispatchError
from service.model.operations import DeadLetter, Pause


class WriteConflict(DispatchError):
    """A conditional write lost: what is stored now is not what the decision was made on.

    Carries the stored values (none where the item is gone), so that the caller can decide again
    without another read.
    """

    def __init__(self, *, ride: Ride | None = None, unicorn: Unicorn | None = None) -> None:
        super().__init__("the stored item changed meanwhile")
        self.ride = ride
        self.unicorn = unicorn


class LeaseLost(DispatchError):
    """Another job has the zone's turn by now; nothing was written."""


MOST_LISTED: Final = 1000
"""Rides that one call of a rider's listing looks at. A page of the API (100 rides) is within it."""


class Rides(Protocol):
    """Rides, written one at a time. Reads are strongly consistent except the listings."""

    def create(self, ride: Ride) -> Ride | None:
        """Store a new ride. Returns the ride that has this `ride_id` already, if there is one."""

    def get(self, ride_id: str) -> Ride | None: ...

    def list_of_rider(
        self,
        rider_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        """The rider's rides requested since then, newest first, from the key `start` on.

        A page may be short of `limit`, even empty, and still have a `next_key`: a call looks at
        `MOST_LISTED` rides at most, however few of them have the status.
        """

    def list_of_unicorn(
        self,
        unicorn_id: str,
        *,
        status: RideStatus | None,
        limit: int,
        start: Mapping[str, str] | None,
        since: datetime | None = None,
    ) -> Page[Ride]:
        """`list_of_rider` of the rides that this unicorn has or had at their end."""

    def save(self, before: Ride, after: Ride) -> None:
        """Replace `before` by `after` if it still is what is stored; else `WriteConflict`."""

    @property
    def shards(self) -> Sequence[str]:
        """Names of the parts of the index of open rides."""

    def due(self, now: datetime, limit: int, shard: str | None = None) -> Sequence[Ride]:
        """Open rides whose `due_at` has passed, oldest first, of a shard or of all.

        Of a shard, the oldest that do more than wait (`Ride.only_waits`) are among them however
        many older ones wait. A row that nobody can read is put back and left out.
        """

    def assigned(self, shard: str, after: datetime) -> Iterable[tuple[str, str]]:
        """Ids of the shard's rides that have a unicorn and are due after then, and of the unicorn.

        From the index alone, which may be a moment old. Iterating makes a call for each 1 MB.
        """

    def postpone(self, ride: Ride, due_at: datetime, failed_looks: int = 0) -> bool:
        """Push `due_at` without a new version, if status and `due_at` are as seen."""

    def postpone_all(self, times: Sequence[tuple[Ride, datetime]]) -> Sequence[Ride]:
        """`postpone` of many, each by itself, in few calls; returns those that were pushed."""


class Unicorns(Protocol):
    """Unicorns, written one at a time."""

    def create(self, unicorn: Unicorn) -> None:
        """Store a new unicorn and its account item; `UnicornExists`, `AccountTaken`."""

    def get(self, unicorn_id: str) -> Unicorn | None: ...

    def get_all(self, unicorn_ids: Collection[str]) -> Mapping[str, Unicorn | None]:
        """Those of these unicorns that exist, each read consistently, in as few calls as can be.

        None stands for a unicorn whose row nobody can read.
        """

    def of_account(self, account_sub: str) -> str | None:
        """The id of the account's unicorn."""

    def save(self, before: Unicorn, after: Unicorn) -> None:
        """Replace `before` by `after` if it still is what is stored; else `WriteConflict`.

        The account item follows in the same write: moved with `account_sub` (`AccountTaken` if
        the new account drives another unicorn), freed when the unicorn is removed.
        """


class Assignments(Protocol):
    """Writes that touch a ride and its unicorn: both or neither, in one transaction."""

    def pair(self, ride_id: str, unicorn_id: str) -> tuple[Ride | None, Unicorn | None]:
        """Both items, each read consistently."""

    def commit(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        """Write what changed in both (before, after) pairs if both befores are still stored.

        Only changed fields are written, so a `before` from a cache may lack fields that play no
        part. Else `WriteConflict` with what is stored for each side that lost.
        """


@dataclass(frozen=True, slots=True)
class Sighting:
    """What recording a position told: the unicorn if its state is known, whether it `entered`.

    A unicorn enters a zone when its last position was elsewhere, stale or unknown.
    """

    unicorn: Unicorn | None
    entered: bool
    ride_version: int | None = None
    """Of the ride the unicorn has, if that is known."""
    advice: Advice | None = None
    """Where it was told to wait, if that holds."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """Unicorns around some places."""

    entries: Sequence[FleetEntry]
    cut: frozenset[Location] = frozenset()
    """Those of the places that may have more usable unicorns within reach."""


class FleetIndex(Protocol):
    """Where unicorns are and what they are doing, as last heard. Never the truth."""

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        """Note a position, unless one recorded later is known. Costs no DynamoDB write.

        One that is farther than 300 m/s from the last waits for a second report that agrees.
        If the sighting has no unicorn, its state is not known here (any more): `refresh` it, or
        `forget` it if there is no such unicorn.
        """

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        """`record` of many, by unicorn id, in as few calls as of one.

        Somebody else speaks for them: it is no sign that their drivers could answer.
        """

    def refresh(self, unicorn: Unicorn, now: datetime, ride_version: int | None = None) -> None:
        """Note a state, unless a newer version is known, and the version of its ride if told."""

    def refresh_all(self, unicorns: Collection[Unicorn], now: datetime) -> None:
        """`refresh` of many, in as few calls as of one."""

    def forget(self, unicorn_ids: Collection[str]) -> None:
        """Drop what is known of unicorns that turned out not to exist."""

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        """What is known of these unicorns; unknown ones are absent, stale positions none."""

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        """The last position, if it is fresh; known even while the state is not."""

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
        """Usable and busy unicorns with fresh positions near any of the places.

        For each place at least the `per_place` nearest of each kind; of the usable ones one more
        for each other place beside it. And of the usable ones up to `equal_metres` farther than
        those, the longest waiting: at least `per_place`, and as many as there are places, since
        all riders may stand at the same one.
        """

    def of_zone(self, zone: str, now: datetime) -> Sequence[FleetEntry]:
        """Usable unicorns with fresh positions in the zone, and busy ones that drop off there."""

    def ignore_all(self, problems: Mapping[str, PositionProblem], now: datetime) -> None:
        """Note, by unicorn id, why a report was no position: neither a place nor a sign of life."""

    def hear(self, unicorn_id: str, now: datetime, *, refused: bool = False) -> None:
        """Note a call of the unicorn that is no position, or that had to be `refused`."""

    def presence(self, unicorn_id: str, now: datetime) -> Presence:
        """What is known of the unicorn by its calls, in one call."""

    def silent_together(self, unicorn_id: str, now: datetime) -> SilentTogether:
        """How many of the unicorns with a ride fell silent when this one did; two calls."""

    def listen(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        """Say that the process hears unicorns, or (`is_deaf`) that it had to refuse some.

        To be repeated all the time. No silence counts before every process hears: after a deaf
        one, after a gap, and while one that said so before says nothing (see `model.presence`).
        Nor does it count after the last beat of any of them.
        """

    def could_answer(self, unicorn_id: str, since: datetime, now: datetime) -> bool:
        """Whether the unicorn itself called since then, and none of its calls was refused.

        False as well if somebody may not have been heard meanwhile.
        """

    def may_take_back(self, ride_id: str, unicorn_id: str, now: datetime) -> bool:
        """Whether this ride may be taken from its unicorn, which does not come; two calls.

        No more than `matching.coming.most_taken_back` in any minute may. Who may counts, and may
        again.
        """

    def stop_listening(self, process: str) -> None:
        """Say that the process ends."""

    def begin_epoch(self, now: datetime) -> bool:
        """Start an epoch if there is none; true if the index is new and must be refilled."""


class WaitingRides(Protocol):
    """Rides waiting per zone, and the marks that make one round serve many requests."""

    def add(self, ride: Ride) -> bool:
        """Add a ride; true if the caller set the zone's mark and so has to publish a round."""

    def add_all(self, rides: Sequence[Ride]) -> Sequence[str]:
        """`add` of many with one call; returns the zones the caller has to publish."""

    def correct(self, ride: Ride) -> None:
        """Replace what is known of a waiting ride without asking for a round."""

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        """Mark the zones that have waiting rides; returns those the caller has to publish."""

    def discard(self, zone: str, ride_ids: Collection[str]) -> None: ...

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        """The plan of a waiting ride: a unicorn that should be free soon."""


PlaceInLine = tuple[datetime, str]
"""When a ride was requested, and its id: the order in which rides are served."""


@dataclass(frozen=True, slots=True)
class WaitingZone:
    """What a round of a zone begins with."""

    rides: Sequence[Ride]
    plans: Mapping[str, Pairing]
    """The plans of the last round, by ride id."""
    suspects: Mapping[str, int]
    """Rides that were in a round whose process died, by id: how often it died with one alone."""
    resume_at: PlaceInLine | None = None
    """The last job had no time for the rides from here on; they come first."""


class RoundLease(Protocol):
    """One job's turn on a zone, renewed until it is given back.

    Every write is fenced: it raises `LeaseLost`, and changes nothing, once another job has the
    turn. Each method makes one call.
    """

    @property
    def zone(self) -> str: ...

    def begin_round(self) -> WaitingZone:
        """Clear the mark, *then* read what waits.

        Notes that this process holds these rides: if it dies, the next round knows them.
        """

    def finish_round(self, plans: Sequence[Pairing], resume_at: PlaceInLine | None) -> None:
        """Keep these plans for the riders and the next round; only suspects stay noted as held.

        `resume_at`: where the successor of this job begins, if there were too many rides.
        """

    def try_alone(self, ride_id: str) -> None:
        """Count one more round with this suspect alone, before it is begun."""

    def clear(self, ride_id: str) -> None:
        """The process outlived the round with this suspect alone: forget the suspicion.

        The count is taken back even if another job has the turn by now.
        """

    def leave(self) -> bool:
        """Give the lease back; false, keeping it, if the mark asks for another round."""

    def release(self) -> None:
        """Give the lease back, and the mark if a refused job left it; suspects stay noted."""

    def fail(self) -> None:
        """`release` after an exception: the process lives, so its rides become no suspects.

        Those that were suspects before it began, and were not cleared, remain so.
        """


class RoundLeases(Protocol):
    def take(self, zone: str) -> RoundLease | None:
        """Take the zone's lease and delete the mark.

        None if another job has the lease: the mark then stays for as long as the lease does, and
        tells the holder to go round once more.
        """


class RoundQueue(Protocol):
    """Tells workers that a zone has something to do. A hint: the sweep is the guarantee."""

    def publish(self, zone: str, request_id: str) -> None: ...


class Changes(Protocol):
    """Wakes those who wait for a ride or unicorn to change. Lossy: waiters read again anyway."""

    def announce(self, *topics: str) -> None: ...

    def listen(self, topic: str) -> AbstractContextManager[Listener]: ...


class Listener(Protocol):
    def wait(self, seconds: float) -> bool:
        """Until the topic is announced or the time is up; true if announced."""

    def wake(self) -> None:
        """End the wait under way, or else the next one, as if the topic had been announced."""


class DeadLetters(Protocol):
    """What was set aside, until it is forgotten."""

    def put(self, letter: DeadLetter) -> None:
        """Keep a letter, in place of the one with this id."""

    def get(self, dead_letter_id: str) -> DeadLetter | None: ...

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        """Letters, newest first, from the continuation key `start` on."""

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        """Note that this letter was replayed, unless it has been set aside anew since."""

    def forget(self, dead_letter_ids: Collection[str]) -> None:
        """Delete those of these letters that exist."""


class Legs(Protocol):
    """The latest ended drives of each zone; all of it may be lost. Raises `Unavailable`."""

    def add(self, zone: str, kind: Kind, leg: Leg | None, promise: Promise) -> None:
        """Note what a drive took (no leg: it came to nothing) beside what was told of it."""

    def promises(self, zone: str, kind: Kind) -> Sequence[Promise]:
        """Newest first, some hundreds."""

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        """Newest first, a few thousand at most."""

    def zones(self) -> Collection[str]:
        """Those that have legs to learn from."""


class Matches(Protocol):
    """Told of matches; it may forget some."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Count a ride that got its unicorn so long after its request. One call."""


class Uncounted:
    """`Matches` where nobody looks at statistics."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Counts nothing."""


class LearnedCorrections(Corrections, Protocol):
    """What each zone has learned, as stored. Raises `Unavailable`."""

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        """Take a correction into use, in place of the one before."""


class Pauses(Protocol):
    """Whether dispatch is paused; what it says may be a few seconds old."""

    def current(self) -> Pause: ...

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Pause or resume a zone, or (none) everything; resuming everything resumes each zone."""

    def reposition(self, zone: str | None, weight: Weight) -> Pause:
        """Choose how strongly a zone's idle unicorns are repositioned, or (none) those of all
        zones that have no weight of their own; off for all is off everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The time limits and bounds of the service; see the settings of the same names."""

    deadline: timedelta = timedelta(seconds=180)
    offer: timedelta = timedelta(seconds=15)
    offers_missed_max: int = 3
    """After so many missed offers of different rides in a row a unicorn is off duty; 0: never."""
    no_show: timedelta = timedelta(seconds=600)
    stale: timedelta = timedelta(seconds=60)
    max_pickup_eta: timedelta = timedelta(seconds=480)
    reach_metres: float = 2250.0
    """How far away a unicorn may be to make the pickup ETA cap, straight line."""
    max_active_rides: int = 0
    arrive_max_metres: int = 500
    """How far from the pickup a unicorn may be when it says that it has arrived; 0: anywhere."""
    plan: timedelta = timedelta(seconds=480)
    """How much longer than its deadline a ride waits at most for the unicorn planned for it."""

    def ends_at(self, ride: Ride, *, planned: bool) -> datetime:
        """When a waiting ride is given up."""
        return ride.deadline_at + (self.plan if planned else timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What is told of a committed write, and may lose it: the truth is in `Stores`."""

    fleet: FleetIndex
    waiting: WaitingRides
    rounds: RoundQueue
    changes: Changes
    legs: Legs
    statistics: Matches = field(default_factory=Uncounted)
    times: ZoneTimes = field(default_factory=lambda: ZoneTimes(GreatCircle()))
    rules: Rules = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores(Hints):
    """Rides and unicorns, and what is told of their changes: all that a transition needs."""

    rides: Rides
    unicorns: Unicorns
    assignments: Assignments
    pauses: Pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports(Stores):
    """All ports of a process, built once. A use case names the smallest part that it needs."""

    dead_letters: DeadLetters
    moves: MoveMemory
    arrivals: Arrivals = field(default_factory=lambda: Arrivals(ZoneTimes(GreatCircle()), {}))
    """`times` for those who follow a ride."""
