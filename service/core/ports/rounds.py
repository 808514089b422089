"""Waiting rides, leases and announcements, all in Redis, and the queue of jobs at the broker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.model import Pairing, Ride
from service.model.errors import DispatchError


class LeaseLost(DispatchError):
    """The job no longer has the zone's lease, because it expired; nothing was written (except by
    `clear`)."""


class WaitingRides(Protocol):
    """Rides waiting per zone, and the marks that make one round serve many requests."""

    def add(self, rides: Sequence[Ride]) -> Sequence[str]:
        """Add rides with one call, and set the marks of their zones.

        Returns the zones whose mark is new: the caller must publish a job for each.
        """

    def correct(self, ride: Ride) -> None:
        """Replace the entry of a waiting ride without triggering a round."""

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        """Mark the zones that have waiting rides.

        Returns the zones whose mark is new: the caller must publish a job for each.
        """

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
    """Rides of the last round if its job died or lost the lease in it, by ride id, each with how
    often it was tried alone and not cleared."""
    resume_at: PlaceInLine | None = None
    """The first ride for which the last job had no time; the rides from here on come first."""


class RoundLease(Protocol):
    """One job's lease on a zone, renewed until it is given back.

    The writes of a round are fenced: once the lease has expired, they raise `LeaseLost` and change
    nothing. (`begin_round` raises it only if another job has the lease by then.) A release then
    does nothing. Each method makes one remote call; `begin_round` makes another to drop entries
    that cannot be read.
    """

    @property
    def zone(self) -> str: ...

    def begin_round(self) -> WaitingZone:
        """Delete the mark, and *then* read the waiting rides. Takes an expired lease again.

        Also notes that this process holds the rides: if it dies, they are suspects of the next
        round.
        """

    def finish_round(self, plans: Sequence[Pairing], resume_at: PlaceInLine | None) -> None:
        """Store the plans for the riders and the next round; forget its rides, except suspects.

        `resume_at`: the ride with which the successor of this job begins, if there were too many.
        """

    def try_alone(self, ride_id: str) -> None:
        """Count a round with this suspect alone, before that round begins."""

    def clear(self, ride_id: str) -> None:
        """End the suspicion: the process survived the round with this suspect alone.

        The ride's count is deleted even if the lease has expired.
        """

    def release_unless_marked(self) -> bool:
        """Give the lease back, unless the mark asks for another round: then return False.

        True also if the lease has expired: another job, or the next trigger, then serves the mark.
        """

    def release(self) -> None:
        """Give the lease back; suspects stay noted.

        Also deletes the mark if a job that found the lease taken set it.
        """

    def release_after_error(self) -> None:
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
