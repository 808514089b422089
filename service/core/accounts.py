"""Deletes a rider's account (GDPR, article 17)."""

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
    """The accounts of the user pool."""

    def delete(self, sub: str) -> None:
        """Delete an account; a missing one is not an error. Raises `Unavailable`."""

    def end_session(self, refresh_token: str, client_id: str) -> None:
        """Revoke a refresh token; an invalid one is not an error. Raises `Unavailable`."""


def delete_account(
    rides: Rides,
    letters: DeadLetters,
    photos: Photos | None,
    accounts: Accounts,
    revoke: Callable[[], object],
    sub: str,
) -> None:
    """Erase the rider from all rides, and delete the photo and the account.

    The order: require that all rides have ended; call `revoke`, which revokes the rider's tokens,
    so that no further ride is requested; erase the rides; delete the photo; delete the account. The
    account comes last, so that after an interruption the rider can sign in and repeat the request.
    Raises `OpenRides` if a ride is open or has just changed. Raises `Unavailable`.
    """
    _require_all_ended(rides, sub)
    revoke()
    if erase_rider(rides, letters, sub).open_rides:
        raise OpenRides("a ride is open or has just changed; try again")
    if photos:
        photos.forget(sub)
    accounts.delete(sub)


def _require_all_ended(rides: Rides, sub: str) -> None:
    listing = partial(rides.list_of_rider, sub, status=None, limit=PAGE)
    if any(not ride.is_terminal for ride in items_of(lambda start: listing(start=start))):
        raise OpenRides("a ride has not ended: cancel it, or let it end")
