"""Revocations: tokens that are refused before they expire.

A revocation key one token (`jti`), one sign-in (`origin_jti`) or a subject (`sub`). The store
says since when each is revoked. Cognito's own revocation does not reach a verifier:
https://docs.aws.amazon.com/cognito/latest/developerguide/token-revocation.html
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

from service.auth.claims import LONGEST_LIFETIME_SECONDS
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.policy import Policy, must_be_certain
from service.auth.principal import Principal, TokenKind
from service.breaker import Breaker
from service.memory import BoundedMemory
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3.0
"""A process that looks up each token believes for this long that a token is not revoked."""

PROMPT_SECONDS: Final = 1.0
"""If the answer "not revoked" took longer than this, only its own request uses it: it may be out of
date."""

PAUSE_SECONDS: Final = 1.0
"""Time without calls to the store after it failed, so that requests do not queue up for it."""

RETRY_AFTER_SECONDS: Final = 1

LONGEST_TOKEN_LIFE: Final = timedelta(seconds=LONGEST_LIFETIME_SECONDS)
"""The longest life of a token that Cognito issues and the verifier accepts, without leeway."""

_REMEMBERED: Final = 10_000

Identifiers = Mapping[str, str]
"""What revocations may name about one token: kind (`jti`, `origin_jti`, `sub`) to value."""
Identifier = tuple[str, str]
"""One entry of `Identifiers`: kind and value."""
TokenKey = tuple[str, str | None, str, int]
"""The key of one token in the cache: `jti`, `origin_jti`, `sub` and the time of issue.

The time is needed for users of the gateway. Their `jti` stays the same, so without the time a user
would stay refused after a new sign-in."""


def remembered_for(kind: str, *, session_seconds: int, leeway_seconds: int) -> timedelta:
    """How long a revocation is kept: until the last token that it refuses has expired."""
    longest = LONGEST_TOKEN_LIFE + timedelta(seconds=2 * leeway_seconds)
    return longest if kind == "jti" else max(longest, timedelta(seconds=session_seconds))


class RevocationStore(Protocol):
    """Stores revocations; each call is one remote call."""

    def lookup(self, identifiers: Identifiers, now: datetime) -> Mapping[str, datetime]:
        """The instant since which each of these is revoked; those that are not are absent.

        Raises `Unavailable`.
        """

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Store a revocation that holds from `revoked_at` on. Raises `Unavailable`."""


class PoolSignOut(StrEnum):
    """The result of signing a subject out at the user pool, in the words of the audit log."""

    DONE = "signed out"
    NOT_ASKED = "not asked"
    """A token or a sign-in was revoked, not a subject; or the settings name no pool."""
    NO_PERMISSION = "no permission"
    """The service's role may not sign users out, so their refresh tokens stay valid."""
    NO_SUCH_USER = "no such user"
    """The subject is a machine or a deleted account."""
    FAILED = "failed"


class UserPool(Protocol):
    """The Cognito user pool (`service.stores.cognito`)."""

    def sign_out(self, sub: str) -> tuple[PoolSignOut, datetime | None]:
        """End all sign-ins of a subject, which makes its refresh tokens useless.

        Returns the result and the pool's time when it answered; None if that is unknown.
        """


class Accounts(Protocol):
    """The accounts of the user pool."""

    def delete(self, sub: str) -> None:
        """Delete an account; a missing one is not an error. Raises `Unavailable`."""

    def end_session(self, refresh_token: str, client_id: str) -> None:
        """Revoke a refresh token; an invalid one is not an error.

        Raises `InvalidToken` if it belongs to another client, or `Unavailable`.
        """


class NoUserPool:
    """Used when the settings name no pool; signs nobody out."""

    def sign_out(self, sub: str) -> tuple[PoolSignOut, datetime | None]:
        return PoolSignOut.NOT_ASKED, None


@dataclass(frozen=True, slots=True)
class RevocationSet:
    """The revocations that a process knows."""

    since: Mapping[Identifier, datetime] = field(default_factory=dict)
    good_until: float = -math.inf
    """Up to this monotonic instant (seconds), an identifier that is not in the set is valid.

    `-math.inf` if the set may lack some: the store has too many, or was not yet scanned."""

    @property
    def is_whole(self) -> bool:
        return self.good_until > -math.inf

    def of(self, identifiers: Identifiers) -> Mapping[str, datetime]:
        """The instant since which each of these is revoked, by kind; others are absent."""
        found = {kind: self.since.get((kind, value)) for kind, value in identifiers.items()}
        return {kind: since for kind, since in found.items() if since}

    def believed_until(self, monotonic: float) -> Self:
        """The same revocations with another `good_until`."""
        return replace(self, good_until=monotonic)

    def with_more(self, found: Mapping[Identifier, datetime]) -> Self:
        """The set with more revocations; an instant before the stored one changes nothing."""
        later = {each: max(at, self.since.get(each, at)) for each, at in found.items()}
        return replace(self, since={**self.since, **later})


def identifiers_of(principal: Principal) -> Identifiers:
    """The identifiers by which this principal's token can be revoked."""
    identifiers = {"jti": principal.jti, "sub": principal.subject}
    if principal.origin_jti is not None:
        identifiers["origin_jti"] = principal.origin_jti
    return identifiers


def is_revoked(principal: Principal, revoked: Mapping[str, datetime]) -> bool:
    """Whether one of `revoked`, found for the principal's identifiers, refuses the principal.

    The revocation of a subject refuses tokens that were issued, and sign-ins that began, at or
    before its instant. Both count: a refresh renews the time of issue, and at some issuers
    `auth_time` too. The `jti` of a user of the gateway is judged in the same way, because it is the
    same after the next sign-in.
    """
    if not revoked:
        return False
    by_instant = {"sub", "jti"} if principal.outlives_sign_ins else {"sub"}
    if revoked.keys() - by_instant:
        return True
    began_at = principal.issued_at
    if principal.kind is TokenKind.USER and principal.auth_time is not None:
        began_at = min(began_at, principal.auth_time)
    return began_at <= max(revoked.values()).timestamp()


def revoke(
    store: RevocationStore,
    pool: UserPool,
    identifier: Identifier,
    now: Callable[[], datetime],
    *,
    session_seconds: int,
    leeway_seconds: int,
) -> PoolSignOut:
    """Revoke an identifier from now on; a subject is signed out at the pool first.

    The order matters: every token issued before the sign-out is older than the revocation, and
    after it an old sign-in yields no new token. If the pool's clock, which dates tokens, is ahead
    of ours, its time counts. Raises `Unavailable`.
    """
    kind, value = identifier
    asked = pool if kind == "sub" else NoUserPool()
    signed_out, pool_time = asked.sign_out(value)
    at = max(filter(None, (now(), pool_time)))
    memory = remembered_for(kind, session_seconds=session_seconds, leeway_seconds=leeway_seconds)
    store.put(kind, value, revoked_at=at, expires_at=at + memory)
    return signed_out


class RevocationCheck:
    """Judges principals by the set that `current` returns, without a remote call.

    If that set is not whole, or none is kept, each token is looked up in the store: one remote
    call. The answer "not revoked" is believed for `FRESH_SECONDS`, "revoked" for ever.
    """

    def __init__(
        self,
        store: RevocationStore,
        current: Callable[[], RevocationSet] = RevocationSet,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._current = current
        self._monotonic = monotonic
        self._breaker = Breaker(PAUSE_SECONDS, monotonic)
        # Never expires, because a revocation is never taken back.
        self._refused: BoundedMemory[TokenKey, bool] = BoundedMemory(_REMEMBERED)
        self.forget()

    def check(self, principal: Principal, policy: Policy, method: str, now: datetime) -> None:
        """Raise `InvalidToken` if the token is revoked.

        Raises `AuthUnavailable` if that is unknown and the request must be certain.
        """
        verdict = self._verdict(principal, now)
        if verdict:
            raise InvalidToken("revoked")
        if verdict is None and must_be_certain(policy, method):
            raise AuthUnavailable(RETRY_AFTER_SECONDS)

    def check_again(self, principal: Principal, policy: Policy, now: datetime) -> None:
        """Judge a token again, after its request has waited for news or sent its body.

        Checks only expiry and revocations, because nothing else can have changed. The rules of a
        read (`GET`) apply: a write was admitted only if it was certain that the token was not
        revoked. Raises as `check` does, and `InvalidToken` if the token has expired.
        """
        if now.timestamp() >= principal.expires_at:
            raise InvalidToken("expired")
        self.check(principal, policy, "GET", now)

    def forget(self) -> None:
        """Forget which tokens were not revoked, because this process has just revoked something."""
        self._passed_until: BoundedMemory[TokenKey, float] = BoundedMemory(_REMEMBERED)

    def _verdict(self, principal: Principal, now: datetime) -> bool | None:
        """Whether the token is revoked; None if that is unknown."""
        revocations, identifiers = self._current(), identifiers_of(principal)
        if is_revoked(principal, revocations.of(identifiers)):
            return True
        if not revocations.is_whole:
            return self._look_up(principal, identifiers, now)
        if self._monotonic() < revocations.good_until:
            return False
        self._say_unknown("the set of revocations could not be read")
        return None

    def _look_up(
        self, principal: Principal, identifiers: Identifiers, now: datetime
    ) -> bool | None:
        key = (principal.jti, principal.origin_jti, principal.subject, principal.issued_at)
        # Taken before the lookup: if `forget` replaces it meanwhile, the answer is dropped.
        passed_until = self._passed_until
        if key in self._refused:
            return True
        if self._monotonic() < (passed_until[key] or -math.inf):
            return False
        if self._breaker.is_open:
            return None
        began = self._monotonic()
        try:
            verdict = is_revoked(principal, self._store.lookup(identifiers, now))
        except Unavailable as error:
            self._say_unknown(str(error))
            return None
        if verdict:
            self._refused[key] = True
        elif (ended := self._monotonic()) - began < PROMPT_SECONDS:
            passed_until[key] = ended + FRESH_SECONDS
        return verdict

    def _say_unknown(self, cause: str) -> None:
        """Log at most once in `PAUSE_SECONDS`; the store is not called in that time either."""
        if not self._breaker.is_open:
            self._breaker.trip()
            logger.warning("revocations unknown", extra={"cause": cause})
