"""Which tokens are refused before they expire.

A token is named in three ways: itself (`jti`), the sign-in it stems from (`origin_jti`), its
subject (`sub`). The store says since when each is revoked. https://docs.aws.amazon.com/cognito/
latest/developerguide/token-revocation.html: revoking at Cognito does not reach a verifier.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, Self

from cachetools import LRUCache, TTLCache

from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.policy import Policy, must_be_certain
from service.auth.principal import Principal, TokenKind
from service.breaker import Breaker
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3.0
"""How long a process that looks tokens up believes that one is not revoked."""

PROMPT_SECONDS: Final = 1.0
"""An answer that took longer is not believed beyond its request: it may be too old by then."""

PAUSE_SECONDS: Final = 1.0
"""How long the store is left alone after it failed, so that requests do not queue up for it."""

RETRY_AFTER_SECONDS: Final = 1

LONGEST_TOKEN_LIFE: Final = timedelta(hours=24)
"""Cognito's, and what the verifier accepts, but for the leeway at either end."""

_REMEMBERED: Final = 10_000

Marks = Mapping[str, str]
"""The names of one token: kind (`jti`, `origin_jti`, `sub`) to value."""
Mark = tuple[str, str]
"""One of them: kind and value."""
Names = tuple[str, str | None, str]


def remembered_for(kind: str, *, session_seconds: int, leeway_seconds: int) -> timedelta:
    """How long a revocation matters: until the last token it concerns has ended."""
    longest = LONGEST_TOKEN_LIFE + timedelta(seconds=2 * leeway_seconds)
    return longest if kind == "jti" else max(longest, timedelta(seconds=session_seconds))


class RevocationStore(Protocol):
    """The truth about revocations."""

    def lookup(self, marks: Marks, now: datetime) -> Mapping[str, datetime]:
        """Since when each of these marks (kind to value) is revoked; the others are absent.

        Raises `Unavailable`.
        """

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Refuse what `value` names from `revoked_at` on. Raises `Unavailable`."""


class SignOut(StrEnum):
    """What became of signing a subject out at the pool; as the audit log says it."""

    DONE = "signed out"
    NOT_ASKED = "not asked"
    """A token or a sign-in was revoked, not a subject, or no pool is named."""
    NO_PERMISSION = "no permission"
    """The role may not sign people out: their refresh tokens go on being honoured."""
    NO_SUCH_USER = "no such user"
    """A machine, or an account that is gone."""
    FAILED = "failed"


class UserPool(Protocol):
    """Where people sign in (`service.stores.user_pool`)."""

    def sign_out(self, sub: str) -> SignOut:
        """End all sign-ins of a subject, so that its refresh tokens are good for nothing."""


class NoUserPool:
    """Stands in where no pool is named."""

    def sign_out(self, sub: str) -> SignOut:
        return SignOut.NOT_ASKED


@dataclass(frozen=True, slots=True)
class RevocationSet:
    """All revocations as a process has read them; the empty one was never read."""

    since: Mapping[Mark, datetime] = field(default_factory=dict)
    is_cut_off: bool = False
    """There are more than a process keeps."""
    good_until: float = -math.inf
    """Until this monotonic instant (seconds), what is not in the set is not revoked."""

    @property
    def is_whole(self) -> bool:
        return self.good_until > -math.inf and not self.is_cut_off

    def of(self, marks: Marks) -> Mapping[str, datetime]:
        """By kind, since when these marks are revoked; the others are absent."""
        found = {kind: self.since.get((kind, value)) for kind, value in marks.items()}
        return {kind: since for kind, since in found.items() if since}

    def believed_until(self, monotonic: float) -> Self:
        """The same set, read once more."""
        return replace(self, good_until=monotonic)

    def with_one(self, mark: Mark, at: datetime) -> Self:
        """The set with one revocation more; an earlier instant changes nothing."""
        return replace(self, since={**self.since, mark: max(at, self.since.get(mark, at))})


def marks_of(principal: Principal) -> Marks:
    """The names under which this principal's token can be revoked."""
    marks = {"jti": principal.jti, "sub": principal.subject}
    if principal.origin_jti is not None:
        marks["origin_jti"] = principal.origin_jti
    return marks


def is_revoked(principal: Principal, revoked: Mapping[str, datetime]) -> bool:
    """Whether one of the revocations found for the principal's marks refuses it.

    One of a subject refuses what began at or before its instant: the issue of the token, or the
    sign-in of the person behind it. Refreshing renews the first, and at some issuers the second.
    """
    if "jti" in revoked or "origin_jti" in revoked:
        return True
    if "sub" not in revoked:
        return False
    began_at = principal.issued_at
    if principal.kind is TokenKind.USER and principal.auth_time is not None:
        began_at = min(began_at, principal.auth_time)
    return began_at <= revoked["sub"].timestamp()


def revoke(
    store: RevocationStore,
    pool: UserPool,
    mark: Mark,
    now: Callable[[], datetime],
    *,
    session_seconds: int,
    leeway_seconds: int,
) -> SignOut:
    """Refuse what the mark names from now on; a subject is signed out at the pool first.

    In this order nothing that was issued before the sign-out is younger than the instant, and
    nothing can be issued after it from an old sign-in. Raises `Unavailable`.
    """
    kind, value = mark
    signed_out = pool.sign_out(value) if kind == "sub" else SignOut.NOT_ASKED
    at = now()
    memory = remembered_for(kind, session_seconds=session_seconds, leeway_seconds=leeway_seconds)
    store.put(kind, value, revoked_at=at, expires_at=at + memory)
    return signed_out


class RevocationCheck:
    """Judges principals by the set that `known` gives, which costs no remote call.

    While there is no whole set (none is kept, it was not read yet, it has outgrown its bound) the
    store is asked, and its answer believed for `FRESH_SECONDS`.
    """

    def __init__(
        self,
        store: RevocationStore,
        known: Callable[[], RevocationSet] = RevocationSet,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._known = known
        self._monotonic = monotonic
        self._breaker = Breaker(PAUSE_SECONDS, monotonic)
        # A revocation is never taken back, so only the other answer goes stale.
        self._refused: LRUCache[Names, bool] = LRUCache(_REMEMBERED)
        self.forget()

    def check(self, principal: Principal, policy: Policy, method: str, now: datetime) -> None:
        """Raises `InvalidToken` if revoked; `AuthUnavailable` if unknown where that matters."""
        verdict = self._verdict(principal, now)
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
        """Look everything up again: this process has just revoked something."""
        self._passed: TTLCache[Names, bool] = TTLCache(_REMEMBERED, FRESH_SECONDS, self._monotonic)

    def _verdict(self, principal: Principal, now: datetime) -> bool | None:
        """Whether the token is revoked; none if nobody can say."""
        known, marks = self._known(), marks_of(principal)
        if is_revoked(principal, known.of(marks)):
            return True
        if not known.is_whole:
            return self._looked_up(principal, marks, now)
        if self._monotonic() < known.good_until:
            return False
        self._say_unknown("the set of revocations could not be read")
        return None

    def _looked_up(self, principal: Principal, marks: Marks, now: datetime) -> bool | None:
        names = (principal.jti, principal.origin_jti, principal.subject)
        # The cache of before: an answer that `forget` overtook must not be remembered.
        passed = self._passed
        if names in self._refused:
            return True
        if names in passed:
            return False
        if self._breaker.is_open:
            return None
        asked_at = self._monotonic()
        try:
            verdict = is_revoked(principal, self._store.lookup(marks, now))
        except Unavailable as error:
            self._say_unknown(str(error))
            return None
        if verdict:
            self._refused[names] = True
        elif self._monotonic() - asked_at < PROMPT_SECONDS:
            passed[names] = True
        return verdict

    def _say_unknown(self, cause: str) -> None:
        """At most once in `PAUSE_SECONDS`, in which the store is left alone, too."""
        if not self._breaker.is_open:
            self._breaker.trip()
            logger.warning("revocations unknown", extra={"cause": cause})
