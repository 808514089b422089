"""The rules for ID tokens of our user pool and its clients. No other module can accept an ID token.

Two routes take ID tokens. `POST /ride` takes them from the workshop's page, if that is switched on.
The upload of a photo takes one in its body, only to learn the identity of a caller whom the access
token has admitted.
"""

from __future__ import annotations

from typing import Final

from service.auth import policy
from service.auth.claims import AccessClaims, Claims
from service.auth.errors import InvalidToken
from service.auth.principal import Principal

_SCOPES: Final = f"{policy.RIDES_READ_SCOPE} {policy.RIDES_WRITE_SCOPE}"
"""The scopes that an ID token stands for; ID tokens have none of their own."""


class IdClaims(AccessClaims):
    """The rules for ID tokens: those for access tokens, with fixed scopes and without groups."""

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


class AccessOrIdClaims(IdClaims):
    """The rules where both access tokens and ID tokens are accepted."""

    __slots__ = ()

    def principal_of(self, claims: Claims, now: float) -> Principal:
        rules = IdClaims if claims.get("token_use") == "id" else AccessClaims
        return rules.principal_of(self, claims, now)
