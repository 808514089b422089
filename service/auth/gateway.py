"""Callers for whom our API Gateway vouches: users and roles that signed with IAM (SigV4).

Only the gateway knows which user of the pool has the temporary credentials that signed a request.
It says so in one header, which it writes anew on each request, together with a proof that nobody
outside can know. `GATEWAY.md` has the whole of it for a security reviewer. Where the words come
from:
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
from service.auth.roles import Grant, RoleGrants

PARTS: Final = 7
"""Proof, caller's ARN, its address, and of the identity: type, pool, id and provider."""
CREDENTIALS_SECONDS: Final = 3600
"""The longest life of an identity pool's credentials (enhanced flow). We are not told their age."""
SIGNATURE_SECONDS: Final = 300
"""How long a signature can be used."""

_ABSENT: Final = frozenset({"", "-"})
"""How the gateway may write what a request does not have."""
_SIGNED: Final = "AWS4-HMAC-SHA256 "
_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IDENTITY: Final = re.compile(rf"[a-z]{{2,}}(?:-[a-z]+)+-[0-9]{{1,2}}:{_UUID}")


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the gateway says of a request: empty texts for what the request does not have."""

    caller_arn: str
    """Of who signed the request; empty if the route is not one for IAM."""
    address: str
    identity_type: str
    identity_pool_id: str
    identity_id: str
    provider: str

    @property
    def is_of_an_identity(self) -> bool:
        return any((self.identity_type, self.identity_pool_id, self.identity_id, self.provider))


def vouched(header: str | None, proofs: Collection[str]) -> Vouched | None:
    """What the header says, if it begins with one of the proofs; otherwise None, as without it.

    All proofs are compared, each in a time that does not depend on what is given.
    """
    given, _, said = (header or "").partition(";")
    raw = given.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(raw, proof.encode()) for proof in proofs]
    parts = said.split(";", PARTS - 2)
    if not any(matches) or len(parts) != PARTS - 1:
        return None
    return Vouched(*("" if part in _ABSENT else part for part in parts))


class GatewayCallers:
    """Makes principals of what the gateway says. No remote call.

    `issuers`: those whose users count. `identity_pool_id`: the pool whose identities count; empty
    for none. `identities`: the roles that this pool gives to its users. `roles`: those of programs.
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

    def verify(self, said: Vouched, authorization: str | None, now: float) -> Principal:
        """The principal that signed the request. `now`: seconds since 1970.

        Raises `InvalidToken`, or `MalformedHeader` if the request has other credentials too.
        """
        if authorization is not None and not authorization.startswith(_SIGNED):
            raise MalformedHeader("a signature and other credentials")
        make = self._user if said.is_of_an_identity else self._program
        return make(said, int(now))

    def _user(self, said: Vouched, now: int) -> Principal:
        if said.identity_type != "authenticated":
            raise InvalidToken("an identity that is not signed in")
        if not self._identity_pool_id or said.identity_pool_id != self._identity_pool_id:
            raise InvalidToken("an identity of another identity pool")
        found = self._provider.fullmatch(said.provider)
        if found is None or not _IDENTITY.fullmatch(said.identity_id):
            raise InvalidToken("not exactly one user of our user pool")
        grant = _granted(self._identities, said)
        return Principal(
            subject=found[2],
            kind=TokenKind.USER,
            client_id=said.caller_arn,
            username=None,
            scopes=grant.scopes,
            groups=grant.groups,
            jti=said.identity_id,
            origin_jti=None,
            # As if the credentials were as old as they can be: whatever revoked the user within
            # their life refuses them. An identity pool gives none to a user who is signed out.
            issued_at=now - CREDENTIALS_SECONDS,
            auth_time=None,
            expires_at=now + SIGNATURE_SECONDS,
        )

    def _program(self, said: Vouched, now: int) -> Principal:
        grant = _granted(self._roles, said)
        return Principal(
            subject=grant.role_arn,
            kind=TokenKind.MACHINE,
            client_id=said.caller_arn,
            username=None,
            scopes=grant.scopes,
            groups=frozenset(),
            jti=said.caller_arn,
            origin_jti=None,
            issued_at=now - SIGNATURE_SECONDS,
            auth_time=None,
            expires_at=now + SIGNATURE_SECONDS,
        )


def _granted(grants: RoleGrants, said: Vouched) -> Grant:
    grant = grants.of(said.caller_arn)
    if grant is None:
        raise InvalidToken("not a role that may call")
    return grant
