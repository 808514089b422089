"""What the claims of an access token must be, and the principal they make.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.auth.errors import InvalidToken
from service.auth.principal import Principal, TokenKind
from service.model.characters import has_control_or_direction_characters

Claims = Mapping[str, Any]

LONGEST_IDENTIFIER: Final = 256
LONGEST_LIFETIME_SECONDS: Final = 24 * 3600
"""The most an app client can be set to (AWS, "AccessTokenValidity")."""

LONGEST_SESSION_SECONDS: Final = 30 * 24 * 3600
"""Default for how long a sign-in may last; Cognito's default for refresh tokens."""

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """The rules; `principal_of` applies them all.

    `leeway_seconds` is for clocks that run ahead of ours and never prolongs a token. `resource`
    must be named by tokens that are bound to any (RFC 8707); empty: such tokens are not for us.
    `session_seconds` after a person signed in no token of that sign-in is good, whatever it says:
    a revocation is remembered for so long, and must not be outlived by what it concerns.
    """

    issuers: frozenset[str]
    client_ids: frozenset[str]
    leeway_seconds: int
    resource: str = ""
    session_seconds: int = LONGEST_SESSION_SECONDS

    def principal_of(self, claims: Claims, now: float) -> Principal:
        """Raises `InvalidToken`. `now`: seconds since 1970."""
        self._check_origin(claims)
        issued_at, expires_at = self._check_times(claims, now)
        subject = _identifier(claims, "sub")
        kind, username = _kind(claims, subject)
        auth_time = self._signed_in_at(claims, kind, now)
        if kind is TokenKind.USER and auth_time is not None:
            # The issuer's clock may be ahead by the leeway, and the sign-in with it.
            session_ends_at = auth_time + self.session_seconds - self.leeway_seconds
            expires_at = min(expires_at, session_ends_at)
            if expires_at <= now:
                raise InvalidToken("signed in too long ago")
        return Principal(
            subject=subject,
            kind=kind,
            client_id=claims["client_id"],
            username=username,
            scopes=_scopes(claims),
            groups=_groups(claims),
            jti=_identifier(claims, "jti"),
            origin_jti=_optional_identifier(claims, "origin_jti"),
            issued_at=issued_at,
            auth_time=auth_time,
            expires_at=expires_at,
        )

    def _check_origin(self, claims: Claims) -> None:
        if _text(claims, "iss") not in self.issuers:
            raise InvalidToken("another issuer")
        if _text(claims, "token_use") != "access":
            raise InvalidToken("not an access token")
        if _text(claims, "client_id") not in self.client_ids:
            raise InvalidToken("another client")
        if "aud" in claims and not self._is_audience(claims["aud"]):
            raise InvalidToken("for another resource")

    def _is_audience(self, audience: object) -> bool:
        named = audience if isinstance(audience, list) else [audience]
        return self.resource != "" and self.resource in named and _are_texts(named)

    def _check_times(self, claims: Claims, now: float) -> tuple[int, int]:
        expires_at = _integer(claims, "exp")
        if expires_at <= now:
            raise InvalidToken("expired")
        issued_at = self._past(claims, "iat", now)
        if "nbf" in claims:
            self._past(claims, "nbf", now)
        if expires_at - issued_at > LONGEST_LIFETIME_SECONDS + self.leeway_seconds:
            raise InvalidToken("lives too long")
        return issued_at, expires_at

    def _signed_in_at(self, claims: Claims, kind: TokenKind, now: float) -> int | None:
        # A person's token without it would escape the revocation of that person's sessions.
        if kind is TokenKind.USER or "auth_time" in claims:
            return self._past(claims, "auth_time", now)
        return None

    def _past(self, claims: Claims, name: str, now: float) -> int:
        instant = _integer(claims, name)
        if not 0 <= instant <= now + self.leeway_seconds:
            raise InvalidToken(f"{name} is not in the past")
        return instant


def _kind(claims: Claims, subject: str) -> tuple[TokenKind, str | None]:
    username = _optional_identifier(claims, "username")
    if username is not None:
        return TokenKind.USER, username
    if subject != claims["client_id"]:
        raise InvalidToken("neither a user's token nor a machine's")
    return TokenKind.MACHINE, None


def _scopes(claims: Claims) -> frozenset[str]:
    """Separated by single spaces and nothing else (RFC 6749, 3.3)."""
    if "scope" not in claims:
        return _NONE
    scope = claims["scope"]
    if type(scope) is not str:
        raise InvalidToken("scope is not text")
    return frozenset(filter(None, scope.split(" ")))


def _groups(claims: Claims) -> frozenset[str]:
    if "cognito:groups" not in claims:
        return _NONE
    groups = claims["cognito:groups"]
    if type(groups) is not list or not _are_texts(groups):
        raise InvalidToken("cognito:groups is not a list of texts")
    return frozenset(groups)


def _are_texts(values: list[object]) -> bool:
    return all(type(value) is str for value in values)


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    if type(value) is not str or not value:
        raise InvalidToken(f"{name} is not text")
    return value


def _identifier(claims: Claims, name: str) -> str:
    """Text that can be logged and be a key: no control or direction characters, at most 256.

    Cognito's own pattern for user names allows every letter, mark, symbol, digit and punctuation,
    up to 128 of them.
    """
    value = _text(claims, name)
    if len(value) > LONGEST_IDENTIFIER or has_control_or_direction_characters(value):
        raise InvalidToken(f"{name} is not an identifier")
    return value


def _optional_identifier(claims: Claims, name: str) -> str | None:
    return _identifier(claims, name) if name in claims else None


def _integer(claims: Claims, name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:  # which also tells true from 1
        raise InvalidToken(f"{name} is not an integer")
    return value
