"""Checks the claims of an access token and makes the principal from them.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.auth.errors import InvalidToken
from service.auth.principal import Principal, TokenKind
from service.model.characters import has_control_or_direction_characters

Claims = Mapping[str, Any]

LONGEST_IDENTIFIER: Final = 256
LONGEST_LIFETIME_SECONDS: Final = 24 * 3600
"""The longest life of an access token that Cognito lets an app client set."""

LONGEST_SESSION_SECONDS: Final = 30 * 24 * 3600
"""The default for the longest life of a sign-in; it equals Cognito's default for refresh tokens."""

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """The rules for the claims of an access token; `principal_of` applies them all.

    `leeway_seconds`: how far the issuer's clock may be ahead of ours; it never prolongs a token.
    `resource`: the audience that a token with `aud` must name (RFC 8707); if empty, every token
    with `aud` is refused. `session_seconds`: a user's token is refused this long after the user
    signed in (less the leeway), whatever its `exp` says, because a revocation is remembered no
    longer than that.
    """

    issuers: Collection[str]
    client_ids: Collection[str]
    leeway_seconds: int = 30
    resource: str = ""
    session_seconds: int = LONGEST_SESSION_SECONDS

    def principal_of(self, claims: Claims, now: float) -> Principal:
        """The principal of these claims. `now`: seconds since 1970. Raises `InvalidToken`."""
        self._check_origin(claims)
        issued_at, expires_at = self._check_times(claims, now)
        subject = _identifier(claims, "sub")
        kind, username = _kind(claims, subject)
        auth_time = self._signed_in_at(claims, kind, now)
        if kind is TokenKind.USER and auth_time is not None:
            # The issuer's clock, and so `auth_time`, may be ahead of ours by the leeway.
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
        # A user's token without `auth_time` would escape the revocation of that user's sign-ins.
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
    """The scopes of the `scope` claim; single spaces separate them (RFC 6749, 3.3)."""
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
    """A claim fit for keys and logs: 1 to 256 characters, no control or direction characters.

    Cognito allows user names of up to 128 letters, marks, symbols, digits and punctuation.
    """
    value = _text(claims, name)
    if len(value) > LONGEST_IDENTIFIER or has_control_or_direction_characters(value):
        raise InvalidToken(f"{name} is not an identifier")
    return value


def _optional_identifier(claims: Claims, name: str) -> str | None:
    return _identifier(claims, name) if name in claims else None


def _integer(claims: Claims, name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:  # not isinstance: true is an int too
        raise InvalidToken(f"{name} is not an integer")
    return value
