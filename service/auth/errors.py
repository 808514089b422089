"""Why a caller is not let in. Each error knows its status and its stable `reason`.

`code` is the error of RFC 6750, 3.1; without one the challenge names no error. The message of an
`InvalidToken` is for the log only: over HTTP every bad token gets the same answer.
"""

from __future__ import annotations

from typing import ClassVar


class AuthError(Exception):
    """Base of every refusal."""

    status: ClassVar[int]
    reason: ClassVar[str]
    code: ClassVar[str | None] = None


class MissingToken(AuthError):
    """No credentials, or a scheme that is not Bearer."""

    status = 401
    reason = "missing_token"


class MalformedHeader(AuthError):
    """Credentials that are no single bearer token, or are given in two ways at once."""

    status = 400
    reason = "malformed_header"
    code = "invalid_request"


class InvalidToken(AuthError):
    """Not a token of ours, or not any more. `cause` says why, to the log."""

    status = 401
    reason = "invalid_token"
    code = "invalid_token"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class TokenTooLarge(AuthError):
    """A token longer than we read. Another sign-in would bring the same token again."""

    status = 431
    reason = "token_too_large"


class InsufficientScope(AuthError):
    """A good token that lacks one of `scopes`, all of which the route needs."""

    status = 403
    reason = "insufficient_scope"
    code = "insufficient_scope"

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__(" ".join(scopes))
        self.scopes = scopes


class Forbidden(AuthError):
    """The scopes are there, but the caller is of the wrong kind or in none of the groups."""

    status = 403
    reason = "forbidden"
    code = "insufficient_scope"


class AuthUnavailable(AuthError):
    """Keys or revocations cannot be had now; worth another try after `retry_after` seconds."""

    status = 503
    reason = "auth_unavailable"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} s")
        self.retry_after = retry_after
