"""The stores in DynamoDB: they hold the truth and decide by conditional writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from service.model import Page, RepositioningLevel, Ride, RideStatus, Unicorn
from service.model.errors import DispatchError
from service.model.operations import DeadLetter, DispatchState


class WriteConflict(DispatchError):
    """A conditional write failed, because another write was faster.

    Holds the stored value of each side that lost (None if the item is gone), so that the caller can
    decide again without another read.
    """

    def __init__(self, *, ride: Ride | None = None, unicorn: Unicorn | None = None) -> None:
        super().__init__("the stored item changed meanwhile")
        self.ride = ride
        self.unicorn = unicorn


MOST_LISTED: Final = 1000
"""A call of a rider's or unicorn's listing reads at most this many rides, more than a page of the
API (100)."""


class Rides(Protocol):
    """Rides, written one at a time. `get` reads consistently; other reads may be a moment old."""

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
        """The rider's rides requested at or after `since`, newest first, from the key `start` on.

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

    def unreadable_of_rider(self, rider_id: str) -> Iterable[str]:
        """The ids of the rider's rides that cannot be read; no listing has these rides.

        Reads all rides of the rider, a few calls for each hundred.
        """

    def blank(self, ride_id: str, rider_id: str, *, open_since: datetime) -> bool:
        """Delete every attribute of a ride that cannot be read, except for its ids and expiry.

        False if the ride is open and was requested at or after `open_since`, can be read by now, or
        is no longer this rider's. Two remote calls.
        """

    def save(self, before: Ride, after: Ride) -> None:
        """Replace `before` by `after`. Raises `WriteConflict` unless `before` is still stored."""

    @property
    def shards(self) -> Sequence[str]:
        """The names of the shards of the index of open rides."""

    def due(self, now: datetime, limit: int) -> Sequence[Ride]:
        """Open rides whose `due_at` has passed, oldest first, of all shards.

        A row that cannot be read is postponed and left out.
        """

    def due_in_batches(
        self, shard: str, now: datetime, limit: int, size: int
    ) -> Iterator[Sequence[Ride]]:
        """The due rides of one shard, in batches of at most `size`. Reads a batch on demand.

        The first batches hold the rides that need more than a round (`Ride.only_waits` is False),
        even if all of the `limit` oldest rides only wait. At most `limit` rides of either sort.
        """

    def assigned(self, shard: str, after: datetime) -> Iterable[tuple[str, str]]:
        """Pairs of ride id and unicorn id, for the shard's assigned rides due later than `after`.

        Read from the index only. Iterating makes one call per 1,000 rides.
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
        """Those of these unicorns that exist, each read consistently; one call per 100.

        None stands for a unicorn whose row cannot be read.
        """

    def of_account(self, account_sub: str) -> str | None:
        """The id of the account's unicorn, or None. The answer may be half a minute old."""

    def save(self, before: Unicorn, after: Unicorn) -> None:
        """Replace `before` by `after`. Raises `WriteConflict` unless `before` is still stored.

        The account item changes in the same write: it moves with `account_sub` (raises
        `AccountTaken` if the new account has another unicorn) and is deleted when the unicorn is
        removed.
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


class DeadLetters(Protocol):
    """Dead letters, until they expire."""

    def put(self, letter: DeadLetter) -> None:
        """Store a letter. It replaces a stored letter with the same id."""

    def get(self, dead_letter_id: str) -> DeadLetter | None: ...

    def newest(self, *, limit: int, start: Mapping[str, str] | None) -> Page[DeadLetter]:
        """Letters, newest first, from the continuation key `start` on."""

    def mark_replayed(self, letter: DeadLetter, at: datetime) -> None:
        """Note that this letter was replayed, unless its ride has been set aside again since."""

    def forget(self, dead_letter_ids: Collection[str]) -> None:
        """Delete those of these letters that exist."""


class DispatchControl(Protocol):
    """What staff told dispatch: pauses, and levels of repositioning. May be seconds out of date."""

    def current(self) -> DispatchState: ...

    def set_paused(self, zone: str | None, paused: bool) -> DispatchState:
        """Pause or resume a zone; None: everything. To resume everything resumes each zone too."""

    def reposition(self, zone: str | None, level: RepositioningLevel) -> DispatchState:
        """Set how strongly a zone's idle unicorns are repositioned. None: the level of
        all zones that have none of their own; if that is off, it is off everywhere."""
