"""The errors of the domain. `http.problems` maps those that reach a route to an answer."""

from __future__ import annotations


class DispatchError(Exception):
    """Base of every error that a use case raises on purpose."""


class RideNotFound(DispatchError):
    """The ride does not exist, or this caller may not see it."""


class UnicornNotFound(DispatchError):
    """The unicorn does not exist, or this account has none."""


class IllegalTransition(DispatchError):
    """The ride or unicorn is not in a state that allows this."""


class NotCancelable(IllegalTransition):
    """The ride has ended, or it is in progress and its rider wants to cancel it."""


class UnicornBusy(IllegalTransition):
    """The unicorn has a ride."""


class TooFarAway(DispatchError):
    """The unicorn says that it has arrived, but its position is too far away."""


class AccountTaken(DispatchError):
    """The account already has a unicorn."""


class UnicornExists(DispatchError):
    """The unicorn id is or was in use."""


class StaleVersion(DispatchError):
    """The thing to be changed has another version than the one that the caller has seen."""


class IdempotencyKeyReused(DispatchError):
    """The idempotency key was used before with another body."""


class TooManyActiveRides(DispatchError):
    """The rider already has as many open rides as allowed."""


class DispatchPaused(DispatchError):
    """An operator has paused dispatch in the zone of the pickup."""


class DeadLetterNotFound(DispatchError):
    """The dead letter does not exist, or it has expired."""


class OpenRides(DispatchError):
    """The account has rides that have not ended."""


class PhotoNotFound(DispatchError):
    """There is no photo to see."""


class PhotoRefused(DispatchError):
    """The service does not accept the upload as a picture; the text tells the user why."""


class Unavailable(DispatchError):
    """A store did not answer in time; nothing is half done and the caller may try again."""
