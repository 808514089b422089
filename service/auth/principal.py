"""The caller as a plain value, made from a verified token or signature."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TokenKind(StrEnum):
    """Whether the caller is a user, or a program (client credentials or an IAM role)."""

    USER = "user"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller. Instants are whole seconds since 1970, as in the token (RFC 7519, 2).

    `auth_time` is when the user signed in. A refresh renews `issued_at` but not `auth_time`.
    """

    subject: str
    kind: TokenKind
    client_id: str
    username: str | None = None
    scopes: frozenset[str]
    groups: frozenset[str] = frozenset()
    jti: str
    origin_jti: str | None = None
    issued_at: int
    auth_time: int | None = None
    expires_at: int

    @property
    def outlives_sign_ins(self) -> bool:
        """Whether `jti` names an identity and not a token: a user for whom our gateway vouches."""
        return self.kind is TokenKind.USER and self.auth_time is None
