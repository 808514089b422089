"""The ports of the use cases, as protocols; for each of them there is a fake too.

Every method may raise `Unavailable`. The stores in DynamoDB (`Rides`, `Unicorns`, `Assignments`)
hold the truth and decide by conditional writes. The stores in Redis (`FleetIndex`, `WaitingRides`,
`Changes`) may lose everything at any time.
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
from service.model.presence import Patrol


class WriteConflict(DispatchError):
    """A conditional write failed, because another write was faster.

    Holds the stored values (None if the item is gone), so that the caller can decide again without
    another read.
    """

    def __init__(self, *, ride: Ride | None = None, unicorn: Unicorn | None = None) -> None:
        super().__init__("the stored item changed meanwhile")
        self.ride = ride
        self.unicorn = unicorn


class LeaseLost(DispatchError):
    """Another job has the zone's lease now; nothing was written."""


MOST_LISTED: Final = 1000
"""Rides that one call of a rider's listing reads at most; more than a page of the API (100)."""


class Rides(Protocol):
    """Rides, written one at a time. Reads are strongly consistent except the listings."""

    def create(self, ride: Ride) -> Ride | None:
        """Store a new ride. Returns None, or the existing ride with this `ride_id`."""

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

        A page may have fewer than `limit` rides, or none, and still have a `next_key`: a call reads
        at most `MOST_LISTED` rides, however few of them have the status.
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
        """As `list_of_rider`, for the rides that this unicorn has, or had when they ended."""

    def save(self, before: Ride, after: Ride) -> None:
        """Replace `before` by `after`. Raises `WriteConflict` unless `before` is still stored."""

    @property
    def shards(self) -> Sequence[str]:
        """The names of the shards of the index of open rides."""

    def due(self, now: datetime, limit: int, shard: str | None = None) -> Sequence[Ride]:
        """Open rides whose `due_at` has passed, oldest first, of one shard or of all.

        For one shard the result has the oldest rides that need more than a round (`Ride.only_waits`
        is False), even behind many older waiting rides. A row that cannot be read is postponed and
        left out.
        """

    def assigned(self, shard: str, after: datetime) -> Iterable[tuple[str, str]]:
        """Pairs of ride id and unicorn id, for the shard's rides with a unicorn due after then.

        Read from the index only, which may be a moment old. Iterating makes one call per 1 MB.
        """

    def postpone(self, ride: Ride, due_at: datetime, failed_looks: int = 0) -> bool:
        """Set a later `due_at` without a new version; False if status or `due_at` has changed."""

    def postpone_all(self, times: Sequence[tuple[Ride, datetime]]) -> Sequence[Ride]:
        """`postpone` for many rides, each on its own, in few calls; returns the postponed ones."""


class Unicorns(Protocol):
    """Unicorns, written one at a time."""

    def create(self, unicorn: Unicorn) -> None:
        """Store a new unicorn and its account item. Raises `UnicornExists`, `AccountTaken`."""

    def get(self, unicorn_id: str) -> Unicorn | None: ...

    def get_all(self, unicorn_ids: Collection[str]) -> Mapping[str, Unicorn | None]:
        """The existing ones of these unicorns, each read consistently; one call per 100.

        None stands for a unicorn whose row cannot be read.
        """

    def of_account(self, account_sub: str) -> str | None:
        """The id of the account's unicorn, or None; it may be remembered for some seconds."""

    def save(self, before: Unicorn, after: Unicorn) -> None:
        """Replace `before` by `after`. Raises `WriteConflict` unless `before` is still stored.

        The account item changes in the same write: it moves with `account_sub` (raises
        `AccountTaken` if the new account has another unicorn) and is deleted with the unicorn.
        """


class Assignments(Protocol):
    """Writes that touch a ride and its unicorn: both or neither, in one transaction."""

    def pair(self, ride_id: str, unicorn_id: str) -> tuple[Ride | None, Unicorn | None]:
        """Both items, each read consistently."""

    def commit(self, ride: tuple[Ride, Ride], unicorn: tuple[Unicorn, Unicorn]) -> None:
        """Write the changes of both (before, after) pairs if both befores are still stored.

        Only changed fields are written, so a `before` from a cache may lack fields that do not
        change. Raises `WriteConflict` with the stored value of each side that lost.
        """


@dataclass(frozen=True, slots=True)
class Sighting:
    """The result of recording a position: the unicorn if its state is known, and if it `entered`.

    A unicorn enters a zone if its last position was in another one, stale or unknown.
    """

    unicorn: Unicorn | None
    entered: bool
    ride_version: int | None = None
    """The version of the unicorn's ride, if known."""
    advice: Advice | None = None
    """Where it was told to wait, if that still holds."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """Unicorns around some places."""

    entries: Sequence[FleetEntry]
    cut: frozenset[Location] = frozenset()
    """The places around which there may be more usable unicorns within reach."""


class FleetIndex(Protocol):
    """Positions and states of unicorns as last heard; hints only, may be out of date."""

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        """Record a position, unless a later one is known. One call, no DynamoDB write.

        A position that implies more than 300 m/s is kept aside until a second report agrees. If
        the sighting has no unicorn, the index lacks its state: the caller must `refresh` it, or
        `forget` it if it does not exist.
        """

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        """`record` for many unicorns, by id, in as few calls as for one.

        A gateway reports them, so this does not show that their drivers could answer an offer.
        """

    def refresh(self, unicorn: Unicorn, now: datetime, ride_version: int | None = None) -> None:
        """Note a state unless a newer version is known, and the version of its ride if given."""

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
        """Usable and busy unicorns with fresh positions near any of the places.

        For each place the result has at least the `per_place` nearest of each kind, and one more
        usable one for each other place beside it. Of the usable ones up to `equal_metres` farther
        than those it has the longest waiting: at least `per_place`, and as many as there are
        places, because all riders may be at the same one.
        """

    def of_zone(self, zone: str, now: datetime) -> Sequence[FleetEntry]:
        """Usable unicorns with fresh positions in the zone, and busy ones that drop off there."""

    def ignore_all(self, problems: Mapping[str, PositionProblem], now: datetime) -> None:
        """Note why a report was ignored, by unicorn id. It does not count as a call."""

    def hear(self, unicorn_id: str, now: datetime, *, refused: bool = False) -> None:
        """Note a call of the unicorn that is not a position, or one that was `refused`."""

    def presence(self, unicorn_id: str, now: datetime) -> Presence:
        """What the unicorn's calls tell about it. One remote call."""

    def presences(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, Presence]:
        """`presence` of many, in as few calls as of one."""

    def patrols_due(self, shard: str, now: datetime) -> Collection[Patrol]:
        """The patrols of these open rides that were not noted lately (`PATROL_EVERY`)."""

    def note_patrols(self, shard: str, patrols: Collection[Patrol], now: datetime) -> None:
        """Note that these patrols have seen all rides of the shard."""

    def silent_together(self, unicorn_id: str, now: datetime) -> SilentTogether:
        """How many unicorns with a ride fell silent together with this one. Two remote calls."""

    def report_hearing(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        """Report that the process hears unicorns, or (`is_deaf`) that it had to refuse some.

        Each process must repeat it every few seconds. Silence counts only from when every process
        hears: not before a deaf report or a gap has passed, nor while a process that reported
        before is missing, nor after the last report of any of them (see `model.presence`).
        """

    def could_answer(self, unicorn_id: str, since: datetime, now: datetime) -> bool:
        """Whether the unicorn itself called since then and none of its calls was refused.

        False too if a call may have been missed in that time.
        """

    def may_take_back(self, ride_id: str, unicorn_id: str, now: datetime) -> bool:
        """Whether this ride may be taken from its unicorn, which does not come. Two remote calls.

        At most `matching.coming.most_taken_back` rides in any minute may be. A True answer counts
        the ride, and asking again for it gives the same answer.
        """

    def withdraw_hearing(self, process: str) -> None:
        """Withdraw the reports of a process that ends."""

    def begin_epoch(self, now: datetime) -> bool:
        """Start an epoch if there is none; True if the index is new and must be refilled."""


class WaitingRides(Protocol):
    """Rides waiting per zone, and the marks that make one round serve many requests."""

    def add(self, ride: Ride) -> bool:
        """Add a ride; True if the caller set the zone's mark and so must publish a round."""

    def add_all(self, rides: Sequence[Ride]) -> Sequence[str]:
        """`add` for many rides with one call; returns the zones that the caller must publish."""

    def correct(self, ride: Ride) -> None:
        """Replace the entry of a waiting ride without triggering a round."""

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        """Mark the zones that have waiting rides; returns those that the caller must publish."""

    def discard(self, zone: str, ride_ids: Collection[str]) -> None: ...

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        """The plan of a waiting ride with a unicorn that should be free soon, or None."""


PlaceInLine = tuple[datetime, str]
"""When a ride was requested, and its id: the order in which rides are served."""


@dataclass(frozen=True, slots=True)
class WaitingZone:
    """A zone's waiting rides, plans and suspects at the start of a round."""

    rides: Sequence[Ride]
    plans: Mapping[str, Pairing]
    """The plans of the last round by ride id."""
    suspects: Mapping[str, int]
    """Rides of a round whose process died; by id, how often it died with this one alone."""
    resume_at: PlaceInLine | None = None
    """The first ride for which the last job had no time; the rides from here on come first."""


class RoundLease(Protocol):
    """One job's lease on a zone, renewed until it is given back.

    Every write is fenced: once another job has the lease, it raises `LeaseLost` and changes
    nothing. Each method makes one remote call.
    """

    @property
    def zone(self) -> str: ...

    def begin_round(self) -> WaitingZone:
        """Delete the mark, and *then* read the waiting rides.

        Also notes that this process holds the rides: if it dies, they are suspects of the next
        round.
        """

    def finish_round(self, plans: Sequence[Pairing], resume_at: PlaceInLine | None) -> None:
        """Store the plans for the riders and the next round; only suspects stay noted as held.

        `resume_at`: the ride with which the successor of this job begins, if there were too many.
        """

    def try_alone(self, ride_id: str) -> None:
        """Count a round with this suspect alone, before that round begins."""

    def clear(self, ride_id: str) -> None:
        """End the suspicion: the process survived the round with this suspect alone.

        The count is taken back even if another job has the lease now.
        """

    def leave(self) -> bool:
        """Give the lease back; False, and the lease is kept, if the mark asks for another round."""

    def release(self) -> None:
        """Give the lease back, and delete the mark if a refused job set it; suspects stay noted."""

    def fail(self) -> None:
        """`release` after an exception: the process lives, so its rides do not become suspects.

        Rides that were suspects before and were not cleared stay suspects.
        """


class RoundLeases(Protocol):
    def take(self, zone: str) -> RoundLease | None:
        """Take the zone's lease and delete the mark.

        None if another job has the lease. Then the mark stays for as long as the lease, and makes
        the holder run one more round.
        """


class RoundQueue(Protocol):
    """Tells workers that a zone needs a round. Only a hint: the sweep guarantees delivery."""

    def publish(self, zone: str, request_id: str) -> None: ...


class Changes(Protocol):
    """Wakes those who wait for a ride or unicorn to change. Announcements may be lost, so waiters
    read again at intervals."""

    def announce(self, *topics: str) -> None: ...

    def listen(self, topic: str) -> AbstractContextManager[Listener]: ...


class Listener(Protocol):
    def wait(self, seconds: float) -> bool:
        """Wait until the topic is announced or the time is up; True if it was announced."""

    def wake(self) -> None:
        """End the wait under way, or the next one, as if the topic had been announced."""


class DeadLetters(Protocol):
    """Dead letters, until they expire."""

    def put(self, letter: DeadLetter) -> None:
        """Store a letter, in place of the one with its id."""

    def get(self, dead_letter_id: str) -> DeadLetter | None: ...

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        """Letters, newest first, from the continuation key `start` on."""

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        """Note that this letter was replayed, unless its ride has been set aside again since."""

    def forget(self, dead_letter_ids: Collection[str]) -> None:
        """Delete those of these letters that exist."""


class Legs(Protocol):
    """The latest drives of each zone; all of them may be lost."""

    def add(self, zone: str, kind: Kind, leg: Leg | None, promise: Promise) -> None:
        """Add a drive (None: it was given up) and what the rider had been told of it."""

    def promises(self, zone: str, kind: Kind) -> Sequence[Promise]:
        """The latest promises, newest first, some hundreds."""

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        """The latest legs, newest first, a few thousand at most."""

    def zones(self) -> Collection[str]:
        """The zones that have legs to learn from."""


class Matches(Protocol):
    """Counts matches for statistics; it may lose some."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Count a ride that was matched this many seconds after its request. One call."""


class Uncounted:
    """`Matches` that counts nothing."""

    def matched(self, seconds: float, now: datetime) -> None:
        """Count nothing."""


class LearnedCorrections(Corrections, Protocol):
    """The stored corrections that zones have learned."""

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        """Store a correction, in place of the one before."""


class Pauses(Protocol):
    """Where dispatch is paused; may be a few seconds out of date."""

    def current(self) -> Pause: ...

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Pause or resume a zone, or everything for None; the latter resumes each zone too."""

    def reposition(self, zone: str | None, weight: Weight) -> Pause:
        """Set how strongly a zone's idle unicorns are repositioned; None: those of all zones that
        have no weight of their own. Off for all zones means off everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits of the service; see the settings of the same names."""

    deadline: timedelta = timedelta(seconds=180)
    offer: timedelta = timedelta(seconds=15)
    offers_missed_max: int = 3
    """A unicorn goes off duty after missing the offers of this many rides in a row; 0: never."""
    no_show: timedelta = timedelta(seconds=600)
    stale: timedelta = timedelta(seconds=60)
    max_pickup_eta: timedelta = timedelta(seconds=480)
    reach_metres: float = 2250.0
    """The straight-line distance within which a unicorn can meet the cap on the pickup ETA."""
    max_active_rides: int = 0
    arrive_max_metres: int = 500
    """How far from the pickup a unicorn may be when it reports its arrival; 0: anywhere."""
    plan: timedelta = timedelta(seconds=480)
    """How much longer than its deadline a ride may wait for the unicorn planned for it."""

    def ends_at(self, ride: Ride, *, planned: bool) -> datetime:
        """When a waiting ride ends unmatched: at its deadline or, if `planned`, later."""
        return ride.deadline_at + (self.plan if planned else timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """The ports that may lose everything; they are updated after a committed write."""

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
    """The truth about rides and unicorns, and the hints: all that a transition needs."""

    rides: Rides
    unicorns: Unicorns
    assignments: Assignments
    pauses: Pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports(Stores):
    """All ports of a process, built once. A use case takes the smallest part that it needs."""

    dead_letters: DeadLetters
    moves: MoveMemory
    arrivals: Arrivals = field(default_factory=lambda: Arrivals(ZoneTimes(GreatCircle()), {}))
    """The ETAs of `times`, for those who follow a ride."""
