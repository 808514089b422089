"""Which tokens are refused before they expire, and how often that is asked.

A token is named in three ways: itself (`jti`), the sign-in it stems from (`origin_jti`), its
subject (`sub`). The store says since when each is revoked. https://docs.aws.amazon.com/cognito/
latest/developerguide/token-revocation.html: revoking at Cognito does not reach a verifier.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.policy import Policy, must_be_certain
from service.auth.principal import Principal, TokenKind
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3.0
"""How long one process believes that a token is not revoked."""

PAUSE_SECONDS: Final = 1.0
"""How long the store is left alone after it failed, so that requests do not queue up for it."""

RETRY_AFTER_SECONDS: Final = 1

LONGEST_TOKEN_LIFE: Final = timedelta(hours=24)
"""Cognito's, and what the verifier accepts, but for the leeway at either end."""

_REMEMBERED: Final = 10_000

Marks = Mapping[str, str]
Names = tuple[str, str | None, str]


def remembered_for(kind: str, *, session_seconds: int, leeway_seconds: int) -> timedelta:
    """How long a revocation matters: until the last token it concerns has ended."""
    if kind == "jti":
        return LONGEST_TOKEN_LIFE + timedelta(seconds=2 * leeway_seconds)
    return timedelta(seconds=session_seconds)


class RevocationStore(Protocol):
    """The truth about revocations."""

    def lookup(self, marks: Marks, now: datetime) -> Mapping[str, datetime]:
        """Since when each of these marks (kind to value) is revoked; the others are absent.

        Raises `Unavailable`.
        """


def marks_of(principal: Principal) -> Marks:
    """The names under which this principal's token can be revoked."""
    marks = {"jti": principal.jti, "sub": principal.subject}
    if principal.origin_jti is not None:
        marks["origin_jti"] = principal.origin_jti
    return marks


def is_revoked(principal: Principal, revoked: Mapping[str, datetime]) -> bool:
    """Whether one of the revocations found for the principal's marks refuses it.

    One of a subject refuses what began at or before its instant: the sign-in of a person, so that
    refreshing does not help; the issue of a machine's token.
    """
    if "jti" in revoked or "origin_jti" in revoked:
        return True
    if "sub" not in revoked:
        return False
    began_at = principal.issued_at
    if principal.kind is TokenKind.USER and principal.auth_time is not None:
        began_at = principal.auth_time
    return began_at <= revoked["sub"].timestamp()


class RevocationCheck:
    """Asks the store, and remembers the answer for `FRESH_SECONDS` in this process."""

    def __init__(
        self, store: RevocationStore, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._monotonic = monotonic
        self._answers: dict[Names, tuple[float, bool]] = {}
        self._paused_until = -math.inf

    def check(self, principal: Principal, policy: Policy, method: str, now: datetime) -> None:
        """Raises `InvalidToken` if revoked; `AuthUnavailable` if unknown where that matters."""
        names = (principal.jti, principal.origin_jti, principal.subject)
        verdict = self._remembered(names)
        if verdict is None:
            verdict = self._ask(names, principal, now)
        if verdict:
            raise InvalidToken("revoked")
        if verdict is None and must_be_certain(policy, method):
            raise AuthUnavailable(RETRY_AFTER_SECONDS)

    def judge_again(self, principal: Principal, policy: Policy, method: str, now: datetime) -> None:
        """Judge a token that was admitted before: for a request that waited and wakes up.

        Only time and revocations can have changed what the token allows, so nothing else is
        looked at. Raises as `check` does, and `InvalidToken` once the token has expired.
        """
        if now.timestamp() >= principal.expires_at:
            raise InvalidToken("expired")
        self.check(principal, policy, method, now)

    def forget(self) -> None:
        """Ask again at once: this process has just revoked something."""
        self._answers = {}

    def _remembered(self, names: Names) -> bool | None:
        """A revocation is never taken back, so only the other answer goes stale."""
        asked_at, verdict = self._answers.get(names, (-math.inf, False))
        is_fresh = self._monotonic() - asked_at < FRESH_SECONDS
        return verdict if verdict or is_fresh else None

    def _ask(self, names: Names, principal: Principal, now: datetime) -> bool | None:
        asked_at = self._monotonic()
        if asked_at < self._paused_until:
            return None
        answers = self._answers
        try:
            verdict = is_revoked(principal, self._store.lookup(marks_of(principal), now))
        except Unavailable as error:
            self._paused_until = self._monotonic() + PAUSE_SECONDS
            logger.warning("revocations unknown", extra={"cause": str(error)})
            return None
        if len(answers) >= _REMEMBERED:
            answers.clear()
        # Into the dictionary of before: an answer that `forget` overtook must not be remembered.
        answers[names] = (asked_at, verdict)
        return verdict
