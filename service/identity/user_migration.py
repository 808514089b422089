"""Trigger that takes over users of an older directory at their first sign-in. Off by default.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-migrate-user.html
The pool sends the password in clear text, so the client's flow must be `ALLOW_USER_PASSWORD_AUTH`.
`USER_DIRECTORY` names a function, `package.module:function`, that has the type `Directory`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final

from cachetools import TTLCache

from service.identity.events import BadEvent, Event, Refused, answered, read, text

SIGN_IN: Final = "UserMigration_Authentication"
RESET: Final = "UserMigration_ForgotPassword"

Directory = Callable[[str, str | None], Mapping[str, str] | None]
"""Returns a user's attributes by user name and password; by user name alone if the password is None
(a reset). Returns None for an unknown user or a wrong password. Must answer within 3 s."""

TRIES: Final = 5
TRIES_SECONDS: Final = 900
"""The most attempts for one user name in this many seconds, so that nobody can guess passwords."""
CALLS: Final = 60
CALLS_SECONDS: Final = 60
"""The most calls to the directory in this many seconds. Both limits hold for one instance of the
function; the template allows two at a time."""

_tries: TTLCache[str, int] = TTLCache(10_000, TRIES_SECONDS)
_calls: deque[float] = deque(maxlen=CALLS)


def handle(event: Event, _context: object) -> Event:
    """Raises `BadEvent`; `Refused` for an unknown user or after too many attempts."""
    trigger = read(event, SIGN_IN, RESET)
    password = text(trigger.request, "password") if trigger.source == SIGN_IN else None
    directory = _directory()
    _count(trigger.username.lower(), time.monotonic())
    attributes = directory(trigger.username, password)
    if attributes is None:
        raise Refused("Incorrect username or password.")
    return answered(
        event,
        userAttributes=dict(attributes),
        finalUserStatus="CONFIRMED" if password is not None else "RESET_REQUIRED",
        messageAction="SUPPRESS",
        desiredDeliveryMediums=["EMAIL"],
        forceAliasCreation=False,
    )


def _directory() -> Directory:
    module, _, name = os.environ.get("USER_DIRECTORY", "").partition(":")
    if not name:
        raise BadEvent("no directory to migrate users from")
    found: Directory = getattr(import_module(module), name)
    return found


def _count(username: str, now: float) -> None:
    """Count an attempt, also a refused one. Raises `Refused` above the limits."""
    _tries[username] = tries = _tries.get(username, 0) + 1
    is_busy = len(_calls) == CALLS and now - _calls[0] < CALLS_SECONDS
    if tries > TRIES or is_busy:
        raise Refused("Too many attempts. Please try again later.")
    _calls.append(now)
