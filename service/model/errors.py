"""What can go wrong, in the words of the domain. The API maps each to one answer, in one table."""

from __future__ import annotations


class DispatchError(Exception):
    """Base of every error a use case raises on purpose."""


class RideNotFound(DispatchError):
    """No such ride, or not one this caller may see."""


class UnicornNotFound(DispatchError):
    """No such unicorn, or none for this account."""


class IllegalTransition(DispatchError):
    """The ride or unicorn is not in a state that allows this."""


class NotCancelable(IllegalTransition):
    """The ride is already in progress or ended."""


class UnicornBusy(IllegalTransition):
    """The unicorn has a ride."""


class TooFarAway(DispatchError):
    """The unicorn says that it has arrived, and its position says that it has not."""


class AccountTaken(DispatchError):
    """The account already has a unicorn."""


class UnicornExists(DispatchError):
    """The unicorn id is, or was, in use."""


class StaleVersion(DispatchError):
    """What the caller wants to change is no longer the version the caller has seen."""


class IdempotencyKeyReused(DispatchError):
    """The idempotency key came before with another body."""


class TooManyActiveRides(DispatchError):
    """The rider has as many open rides as allowed."""


class DispatchPaused(DispatchError):
    """An operator has paused dispatch where the ride would begin."""


class DeadLetterNotFound(DispatchError):
    """No such dead letter, or it is forgotten by now."""


class OpenRides(DispatchError):
    """The account has rides that have not ended."""


class PhotoNotFound(DispatchError):
    """There is no photo to see."""


class PhotoRefused(DispatchError):
    """The upload is no picture that is shown; the text says why, in the user's terms."""


class Unavailable(DispatchError):
    """A store did not answer in time; nothing is half done and the caller may try again."""
