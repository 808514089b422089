"""Finds the caller of a request by its credentials, for the guard and the gateway's authorizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from service.auth import bearer, iam
from service.auth.policy import Policy
from service.auth.principal import Principal
from service.auth.revocation import RevocationCheck


class Verifier(Protocol):
    """Turns a credential into the principal that it proves; raises `AuthError`."""

    def verify(self, token: str, now: float) -> Principal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What judges callers: the verifiers, and the revocations."""

    verifier: Verifier
    revoked: RevocationCheck
    iam: Verifier | None = None
    """Verifies credentials of IAM roles; None if no role may call."""
    id_tokens: Verifier | None = None
    """Verifies access and ID tokens; None unless the workshop's page may send ID tokens."""


def caller_of(
    authority: Authority,
    policy: Policy,
    authorization: str | None,
    has_query_token: bool,
    now: float,
    before_sts: Callable[[], None] = lambda: None,
) -> Principal:
    """The principal that this `Authorization` header proves to a route. Raises `AuthError`.

    `policy`: the route's policy, which is not judged here. `now`: seconds since 1970. `before_sts`
    runs before the remote call to STS that a credential of an IAM role needs, and may refuse the
    request by raising.
    """
    if authority.iam:
        credential = iam.credential_from(authorization, has_query_token)
        if credential is not None:
            before_sts()
            return authority.iam.verify(credential, now)
    token = bearer.token_from(authorization, has_query_token, policy.bare_tokens)
    verifier = (policy.id_tokens and authority.id_tokens) or authority.verifier
    return verifier.verify(token, now)
