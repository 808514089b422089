"""Callers for whom our API Gateway vouches: users and roles that signed with IAM (SigV4).

Only the gateway knows which user of the pool has the temporary credentials that signed a request.
The gateway names this user in one header, together with a proof that only the gateway and this
service know. It overwrites the header on each request. `GATEWAY.md` explains this to a security
reviewer. AWS documents the values of the header here:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from service.auth.errors import InvalidToken, MalformedHeader
from service.auth.principal import Principal, TokenKind
from service.auth.roles import RoleGrants

PARTS: Final = 7
"""The number of the header's parts: proof, caller's ARN, caller's address, and the identity's type,
pool, id and provider."""
CREDENTIALS_SECONDS: Final = 3600
"""The longest life of an identity pool's credentials (enhanced flow), in seconds. The gateway does
not say how old they are."""
SIGNATURE_SECONDS: Final = 300
"""How long a signature is valid, in seconds."""

_ABSENT: Final = frozenset({"", "-"})
"""What the gateway writes for a value that the request does not have."""
_SIGNED: Final = "AWS4-HMAC-SHA256 "
_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IDENTITY: Final = re.compile(rf"[a-z]{{2,}}(?:-[a-z]+)+-[0-9]{{1,2}}:{_UUID}")


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """The facts that the gateway sends about a request. A fact that it does not have is empty."""

    caller_arn: str
    """The ARN of the user or role that signed the request; empty if the route does not use IAM."""
    address: str
    identity_type: str
    identity_pool_id: str
    identity_id: str
    provider: str

    @property
    def is_of_an_identity(self) -> bool:
        return any((self.identity_type, self.identity_pool_id, self.identity_id, self.provider))


def read_facts(header: str | None, proofs: Collection[str]) -> GatewayFacts | None:
    """The facts in a well-formed header that begins with one of the proofs; None otherwise.

    Compares all proofs in constant time, so that the duration reveals nothing about them.
    """
    given, _, facts = (header or "").partition(";")
    raw = given.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(raw, proof.encode()) for proof in proofs]
    parts = facts.split(";", PARTS - 2)
    if not any(matches) or len(parts) != PARTS - 1:
        return None
    return GatewayFacts(*("" if part in _ABSENT else part for part in parts))


class GatewayCallers:
    """Makes principals from the gateway's facts about a request. No remote call.

    `issuers`: the issuers whose users may call. `identity_pool_id`: the identity pool whose users
    may call; empty if none may. `identities`: the roles that this pool gives to its users.
    `roles`: the roles of programs.
    """

    def __init__(
        self,
        issuers: Collection[str],
        identity_pool_id: str,
        identities: RoleGrants,
        roles: RoleGrants,
    ) -> None:
        providers = "|".join(re.escape(each.removeprefix("https://")) for each in issuers)
        self._provider = re.compile(rf"({providers}),\1:CognitoSignIn:({_UUID})")
        self._identity_pool_id = identity_pool_id
        self._identities = identities
        self._roles = roles

    def verify(
        self, facts: GatewayFacts, authorization: str | None, has_query_token: bool, now: float
    ) -> Principal:
        """The principal that signed the request. `now`: seconds since 1970.

        `has_query_token`: the URL has an `access_token` parameter, which is a credential too.
        Raises `InvalidToken`, or `MalformedHeader` if the request also has other credentials.
        """
        has_other = authorization is not None and not authorization.startswith(_SIGNED)
        if has_other or has_query_token:
            raise MalformedHeader("a signature and other credentials")
        make = self._user if facts.is_of_an_identity else self._program
        return make(facts, int(now))

    def _user(self, facts: GatewayFacts, now: int) -> Principal:
        if facts.identity_type != "authenticated":
            raise InvalidToken("an identity that is not signed in")
        if not self._identity_pool_id or facts.identity_pool_id != self._identity_pool_id:
            raise InvalidToken("an identity of another identity pool")
        found = self._provider.fullmatch(facts.provider)
        if found is None or not _IDENTITY.fullmatch(facts.identity_id):
            raise InvalidToken("not exactly one user of our user pool")
        grant = self._identities.of(facts.caller_arn)
        return Principal(
            subject=found[2],
            kind=TokenKind.USER,
            client_id=facts.caller_arn,
            scopes=grant.scopes,
            groups=grant.groups,
            jti=facts.identity_id,
            # The age of the credentials is unknown, so they count as issued as early as possible.
            # A revocation during their life then refuses them. An identity pool gives no
            # credentials to a user who is signed out.
            issued_at=now - CREDENTIALS_SECONDS,
            expires_at=now + SIGNATURE_SECONDS,
        )

    def _program(self, facts: GatewayFacts, now: int) -> Principal:
        grant = self._roles.of(facts.caller_arn)
        return Principal(
            subject=grant.role_arn,
            kind=TokenKind.MACHINE,
            client_id=facts.caller_arn,
            scopes=grant.scopes,
            jti=facts.caller_arn,
            issued_at=now - SIGNATURE_SECONDS,
            expires_at=now + SIGNATURE_SECONDS,
        )
