"""Reads the `Authorization` header, writes the `WWW-Authenticate` challenge (RFC 6750, 9110)."""

from __future__ import annotations

import re
from typing import Final

from service.auth.errors import (
    AuthError,
    AuthUnavailable,
    InsufficientScope,
    MalformedHeader,
    MissingToken,
    TokenTooLarge,
)

REALM: Final = "wildrydes"

_OPTIONAL_WHITESPACE: Final = " \t"
_BREAK: Final = re.compile("([ \t,])")
"""Ends a word: space, tab, and the comma by which servers join two headers into one value."""
_BARE: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def token_from(authorization: str | None, has_query_token: bool, accepts_bare: bool = False) -> str:
    """The bearer token of the `Authorization` header; the verifier judges the token itself.

    `has_query_token`: the URL has an `access_token` parameter too. That is an error, because a
    client must not send a token in two ways at once (RFC 6750, 2). `accepts_bare`: a token without
    a scheme will do, as the workshop's page sends it.

    Raises `MissingToken` or `MalformedHeader`.
    """
    if accepts_bare and authorization is not None and _BARE.fullmatch(authorization):
        authorization = f"Bearer {authorization}"
    scheme, *rest = _BREAK.split((authorization or "").strip(_OPTIONAL_WHITESPACE), maxsplit=1)
    if scheme.lower() != "bearer":
        raise MissingToken("no bearer credentials")
    token = "".join(rest).lstrip(" ")
    if not token or has_query_token or _BREAK.search(token):
        raise MalformedHeader("not exactly one bearer token")
    return token


def challenge(error: AuthError, metadata_url: str) -> str | None:
    """The value of `WWW-Authenticate` for a refusal.

    None if the token could not be checked or is too large: signing in again would not help.
    `metadata_url`: the address of the protected resource metadata (RFC 9728, 5.1).
    """
    if isinstance(error, (AuthUnavailable, TokenTooLarge)):
        return None
    parameters = {
        "realm": REALM,
        "error": error.code,
        "scope": " ".join(error.scopes) if isinstance(error, InsufficientScope) else None,
        "resource_metadata": metadata_url,
    }
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
