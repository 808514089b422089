"""Who is calling, as a plain value: what a verified access token says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TokenKind(StrEnum):
    """Whether a person is behind the token (code flow) or a program (client credentials)."""

    USER = "user"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. Instants are whole seconds since 1970, as in the token (RFC 7519, 2).

    `auth_time` is when the person signed in: it outlives refreshes, `issued_at` does not.
    """

    subject: str
    kind: TokenKind
    client_id: str
    username: str | None
    scopes: frozenset[str]
    groups: frozenset[str]
    jti: str
    origin_jti: str | None
    issued_at: int
    auth_time: int | None
    expires_at: int
