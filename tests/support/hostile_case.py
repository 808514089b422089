"""One row of the hostile-token table: what is sent, and the only acceptable answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.auth import policy
from service.auth.policy import Policy
from tests.support.token_mint import Mint

Token = Callable[[Mint], str]
"""Makes a token."""
Build = Callable[[Mint], str | None]
"""Makes the value of the `Authorization` header; none: no header."""


@dataclass(frozen=True)
class Case:
    """`status` and `reason` of the answer on a route with `policy`; 200 has no reason.

    A value that is not `sendable` cannot pass an HTTP client or the server's limit of a header
    line, so over HTTP it is only good for seeing that.
    """

    row: int
    name: str
    build: Build
    status: int
    reason: str
    policy: Policy = policy.RIDES_READ
    has_query_token: bool = False

    def __str__(self) -> str:
        return f"{self.row}-{self.name.replace(' ', '-')}"


def is_sendable(value: str | None) -> bool:
    return value is None or (len(value) < 8000 and not set(value) & set("\r\n\0"))


def _answered(status: int, reason: str) -> Callable[..., Case]:
    """Makes cases whose token is answered like this, by row, name, token and policy."""

    def case(row: int, name: str, token: Token, at: Policy = policy.RIDES_READ) -> Case:
        return Case(row, name, lambda mint: f"Bearer {token(mint)}", status, reason, at)

    return case


accepted = _answered(200, "")
invalid = _answered(401, "invalid_token")
too_large = _answered(431, "token_too_large")
lacking = _answered(403, "insufficient_scope")
forbidden = _answered(403, "forbidden")
