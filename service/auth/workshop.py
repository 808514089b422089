"""The rules for ID tokens, and the tokens of the workshop's unmodified page.

That page sends an ID token, without a scheme; only its own routes accept one in the header. The
upload of a photo takes an ID token in its body, to learn the caller's identity, and admits nobody
by it. All that is known about ID tokens is here, so that nothing else can accept one.
"""

from __future__ import annotations

import re
from typing import Final

from service.auth import policy
from service.auth.bearer import token_from
from service.auth.claims import AccessClaims, Claims
from service.auth.errors import InvalidToken
from service.auth.principal import Principal
from service.auth.verifier import TokenVerifier

_RAW: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

_SCOPES: Final = f"{policy.RIDES_READ_SCOPE} {policy.RIDES_WRITE_SCOPE}"
"""The scopes that an ID token stands for on the workshop's routes; ID tokens have no scopes."""


def workshop_token_from(authorization: str | None, has_query_token: bool) -> str:
    """As `token_from`, but a token without a scheme is accepted too."""
    if authorization is not None and _RAW.fullmatch(authorization):
        authorization = f"Bearer {authorization}"
    return token_from(authorization, has_query_token)


class IdClaims(AccessClaims):
    """The rules for ID tokens of the same pool and the same clients: those for access tokens, with
    fixed scopes and without groups."""

    __slots__ = ()

    def principal_of(self, claims: Claims, now: float) -> Principal:
        if claims.get("token_use") != "id":
            raise InvalidToken("not an ID token")
        access_claims = {name: claims[name] for name in claims.keys() - {"aud", "cognito:groups"}}
        access_claims |= {
            "token_use": "access",
            "client_id": claims.get("aud"),
            "username": claims.get("cognito:username"),
            "scope": _SCOPES,
        }
        return super().principal_of(access_claims, now)


class WorkshopVerifier:
    """Verifies a token as an access token and, if that fails, as an ID token."""

    def __init__(self, access_tokens: TokenVerifier, id_tokens: TokenVerifier) -> None:
        self._access_tokens = access_tokens
        self._id_tokens = id_tokens

    def verify(self, token: str, now: float) -> Principal:
        """The principal of the token. Raises as `TokenVerifier.verify` does."""
        try:
            return self._access_tokens.verify(token, now)
        except InvalidToken:
            return self._id_tokens.verify(token, now)
