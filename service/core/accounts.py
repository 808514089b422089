"""An account's own end: what a rider may ask for (GDPR, articles 17 and 20)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from service.core.erasure import PAGE, erase_rider
from service.core.photos import Photos
from service.core.ports import DeadLetters, Rides
from service.model import items_of
from service.model.errors import OpenRides


class Accounts(Protocol):
    """Accounts where people sign in."""

    def delete(self, sub: str) -> None:
        """Delete an account; one that is gone is no error. Raises `Unavailable`."""

    def end_session(self, refresh_token: str, client_id: str) -> None:
        """Void a refresh token; one that is no token is no error. Raises `Unavailable`."""


def delete_account(
    rides: Rides,
    letters: DeadLetters,
    photos: Photos | None,
    accounts: Accounts,
    revoke: Callable[[], object],
    sub: str,
) -> None:
    """Take the rider out of all rides, delete the photo, then the account itself.

    `revoke` refuses the rider's tokens first, so that no ride is requested meanwhile. The account
    goes last: where this was cut short, the rider signs in again and repeats it. Raises
    `OpenRides` while a ride has not ended, `Unavailable`.
    """
    _require_all_ended(rides, sub)
    revoke()
    if erase_rider(rides, letters, sub).open_rides:
        raise OpenRides("a ride was requested meanwhile")
    if photos:
        photos.forget(sub)
    accounts.delete(sub)


def _require_all_ended(rides: Rides, sub: str) -> None:
    listing = partial(rides.list_of_rider, sub, status=None, limit=PAGE)
    if any(not ride.is_terminal for ride in items_of(lambda start: listing(start=start))):
        raise OpenRides("a ride has not ended: cancel it, or let it end")
