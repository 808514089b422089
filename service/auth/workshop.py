"""What the workshop's unmodified page needs, for its own routes and nowhere else.

It sends its token without a scheme word, and sends the ID token. Kept apart from the rest on
purpose: nothing outside this module can make an ID token acceptable.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from service.auth import policy
from service.auth.bearer import token_from
from service.auth.claims import LONGEST_SESSION_SECONDS, AccessClaims, Claims
from service.auth.errors import InvalidToken
from service.auth.keys import Keys
from service.auth.principal import Principal
from service.auth.verifier import TokenVerifier

_RAW: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

_SCOPES: Final = f"{policy.RIDES_READ_SCOPE} {policy.RIDES_WRITE_SCOPE}"
"""What a sign-in at the workshop's page stands for: ID tokens carry no scopes."""


def workshop_token_from(authorization: str | None, has_query_token: bool) -> str:
    """As `token_from`, but three bare base64url segments will do as well."""
    if authorization is not None and _RAW.fullmatch(authorization):
        authorization = f"Bearer {authorization}"
    return token_from(authorization, has_query_token)


class IdClaims(AccessClaims):
    """Rules for ID tokens, told in those for access tokens: scopes waived, groups ignored."""

    __slots__ = ()

    def principal_of(self, claims: Claims, now: float) -> Principal:
        if claims.get("token_use") != "id":
            raise InvalidToken("not an ID token")
        told = {name: claims[name] for name in claims.keys() - {"aud", "cognito:groups"}}
        told |= {
            "token_use": "access",
            "client_id": claims.get("aud"),
            "username": claims.get("cognito:username"),
            "scope": _SCOPES,
        }
        return super().principal_of(told, now)


class IdTokenVerifier(TokenVerifier):
    """Verifies ID tokens of the same pool, made out to the same clients."""

    def __init__(
        self,
        keys: Keys,
        *,
        issuers: Collection[str],
        client_ids: Collection[str],
        leeway_seconds: int = 30,
        session_seconds: int = LONGEST_SESSION_SECONDS,
    ) -> None:
        rules = IdClaims(
            issuers=frozenset(issuers),
            client_ids=frozenset(client_ids),
            leeway_seconds=leeway_seconds,
            session_seconds=session_seconds,
        )
        super().__init__(keys, rules)


class WorkshopVerifier:
    """Takes access tokens, and ID tokens where those are refused."""

    def __init__(self, access_tokens: TokenVerifier, id_tokens: TokenVerifier) -> None:
        self._access_tokens = access_tokens
        self._id_tokens = id_tokens

    def verify(self, token: str, now: float) -> Principal:
        """Raises what `TokenVerifier.verify` does."""
        try:
            return self._access_tokens.verify(token, now)
        except InvalidToken:
            return self._id_tokens.verify(token, now)
