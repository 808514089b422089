"""The reasons for refusing a caller. Each error has an HTTP status and a stable `reason`.

`code` is the error code of RFC 6750, 3.1; without a code the challenge names no error. `detail` is
the one text per kind of refusal that callers see. The message goes to the log only: it says what
exactly is wrong with a token, while over HTTP every bad token gets the same answer.
"""

from __future__ import annotations

from typing import ClassVar


class AuthError(Exception):
    """Base of every refusal."""

    status: ClassVar[int]
    reason: ClassVar[str]
    detail: ClassVar[str]
    code: ClassVar[str | None] = None


class MissingToken(AuthError):
    """The request has no credentials, or those of another scheme than Bearer."""

    status = 401
    reason = "missing_token"
    detail = "Send an access token as Authorization: Bearer."


class MalformedHeader(AuthError):
    """The header does not hold exactly one bearer token, or a token is sent in two ways at once."""

    status = 400
    reason = "malformed_header"
    detail = "Send exactly one bearer token, in the Authorization header only."
    code = "invalid_request"


class InvalidToken(AuthError):
    """The token is not one we accept, or it has expired or been revoked."""

    status = 401
    reason = "invalid_token"
    detail = "The access token is not valid."
    code = "invalid_token"


class TokenTooLarge(AuthError):
    """The token is longer than we read. Signing in again would give a token as long."""

    status = 431
    reason = "token_too_large"
    detail = "The access token is longer than 7 KiB; let it carry fewer groups."


class InsufficientScope(AuthError):
    """The token is valid but has none of the sets of scopes that the route accepts; `scopes` is the
    first of them."""

    status = 403
    reason = "insufficient_scope"
    detail = "The access token lacks a scope that this route needs."
    code = "insufficient_scope"

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__(" ".join(scopes))
        self.scopes = scopes


class Forbidden(AuthError):
    """The token has the scopes, but is of the wrong kind or in none of the groups needed.

    The gateway's authorizer raises it for an unknown route, too.
    """

    status = 403
    reason = "forbidden"
    detail = "You are not allowed to do this."
    code = "insufficient_scope"


class AuthUnavailable(AuthError):
    """Keys, revocations or STS are not available; the client may retry after `retry_after` s."""

    status = 503
    reason = "auth_unavailable"
    detail = "Access tokens cannot be checked at the moment; try again."

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} s")
        self.retry_after = retry_after


class NotCheckedNow(AuthUnavailable):
    """This caller cannot be checked now. Anybody can cause this, so the service has not failed.

    The status is not a 5xx, because a 5xx of a route of the fleet counts as an outage, and in an
    outage no unicorn counts as silent.
    """

    status = 429
    reason = "rate_limited"
