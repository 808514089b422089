"""Removes riders' data (GDPR, article 17): from rides, with the account, and by expiry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from service.core.dead_letters import letters_about
from service.core.photos import Photos
from service.core.ports import DeadLetters, RideHistory, Rides, WriteConflict
from service.model import Ride, items_of
from service.model.errors import OpenRides

UNREADABLE_OPEN_FOR: Final = timedelta(days=1)
"""How long after its request a ride that cannot be read still counts as open. A release that can
read it may be deployed meanwhile; after this time nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure. `open_rides` are open or were just changed: erase again later."""

    erased: int
    open_rides: tuple[str, ...]


def erase_rider(rides: Rides, letters: DeadLetters, rider_id: str, now: datetime) -> Erasure:
    """Erase a rider from all rides that have ended; status, times and distances stay.

    Of a ride that cannot be read only the id and the expiry stay; it counts as ended if it was
    requested more than `UNREADABLE_OPEN_FOR` ago. Also deletes dead letters about the rides,
    because letters quote their rides. Safe to repeat after an interruption. Five remote calls for
    each ride. Raises `Unavailable`.
    """
    erased, still_open = 0, []
    for listed in items_of(partial(rides.list_of_rider, rider_id, status=None)):
        ride = rides.get(listed.ride_id)  # the listing may be a moment old
        if ride is None or ride.rider_id != rider_id:
            continue
        if not ride.is_terminal:
            still_open.append(ride.ride_id)
            continue
        try:
            # Letters first: once the ride has no rider, a repeated erasure would not find them.
            letters.forget(letters_about(ride.ride_id))
            rides.save(ride, ride.erased())
            erased += 1
        except WriteConflict:
            still_open.append(ride.ride_id)
    for ride_id in rides.unreadable_of_rider(rider_id):
        letters.forget(letters_about(ride_id))
        if rides.blank(ride_id, rider_id, open_since=now - UNREADABLE_OPEN_FOR):
            erased += 1
        else:
            still_open.append(ride_id)
    return Erasure(erased, tuple(still_open))


def delete_account(
    rides: Rides,
    letters: DeadLetters,
    photos: Photos | None,
    revoke: Callable[[str], object],
    delete: Callable[[str], object],
    sub: str,
    now: datetime,
) -> None:
    """Erase the rider from all rides, and delete the photo and the account.

    `revoke` revokes the tokens of a `sub`, and `delete` deletes its account. The order: require
    that all rides have ended; revoke the tokens, so that no further ride is requested; erase the
    rides; delete the photo; delete the account. The account comes last, so that after an
    interruption the rider can sign in and repeat the request.
    Raises `OpenRides` if a ride is open or has just changed. Raises `Unavailable`.
    """
    _require_all_ended(rides, sub)
    revoke(sub)
    if erase_rider(rides, letters, sub, now).open_rides:
        raise OpenRides("a ride is open or has just changed; try again")
    if photos:
        photos.forget(sub)
    delete(sub)


def _require_all_ended(rides: Rides, sub: str) -> None:
    listing = partial(rides.list_of_rider, sub, status=None)
    if any(not ride.is_terminal for ride in items_of(listing)):
        raise OpenRides("a ride has not ended: cancel it, or let it end")


def renew_expiry(
    rides: Rides, history: RideHistory, since: datetime, until: datetime
) -> Iterator[Ride]:
    """Write again, unchanged, each ended ride that was requested from `since` to `until`.

    With each write, the store sets or removes the expiry of the ride. Yields the written rides,
    newest first. May be repeated. Costs one write per ended ride, and reads all rides of the time
    span. Raises `Unavailable`.
    """
    for ride in items_of(partial(history.newest, since=since, until=until, status=None)):
        if not ride.is_terminal:
            continue
        try:
            rides.save(ride, ride)
        except WriteConflict:
            continue  # another process has written the new expiry, or the ride has expired
        yield ride
