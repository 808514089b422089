"""Trigger that sets the content of tokens: scopes of the API, its groups, no phone number.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html
Events of versions 2 and 3 (Essentials plan) can change access tokens; only version 3 is sent for
machines. Version 1 cannot, so it is refused.

A sign-in by SDK (SRP) gets one scope only, that of the user's own account. The trigger adds the
scopes of the user's groups that the client may ask for. A sign-in by the login page keeps the
scopes that its app asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from service.auth import policy
from service.identity.aws import client
from service.identity.events import Event, Refused, Trigger, answered, mapping, read, text, texts
from service.identity.grants import MACHINE_SCOPES, SCOPES_OF, scopes_of
from service.identity.messages import Refusal, refusal
from service.identity.sign_in import require_not_suspended

VERSIONS: Final = ("2", "3")
MACHINE: Final = "TokenGeneration_ClientCredentials"
HOSTED: Final = "TokenGeneration_HostedAuth"
SOURCES: Final = (
    HOSTED,
    "TokenGeneration_Authentication",
    "TokenGeneration_NewPasswordChallenge",
    "TokenGeneration_AuthenticateDevice",
    "TokenGeneration_RefreshTokens",
    MACHINE,
)
SDK_SCOPE: Final = "aws.cognito.signin.user.admin"
PRIVATE_CLAIMS: Final = ("phone_number", "phone_number_verified")


def handle(event: Event, _context: object) -> Event:
    """Raises `BadEvent`; `Refused` for a suspended user. One remote call for each new client."""
    trigger = read(event, *SOURCES, versions=VERSIONS)
    if trigger.source == MACHINE:
        return _changed(event, remove=_users_scopes(texts(trigger.request, "scopes")))
    require_not_suspended(trigger)
    configuration = mapping(trigger.request, "groupConfiguration", of=object, default={})
    groups = [each for each in texts(configuration, "groupsToOverride") if each in SCOPES_OF]
    return _changed(
        event,
        add=_scopes_to_add(trigger, groups),
        groups={
            "groupsToOverride": groups,
            # Cognito would clear fields that are left out; the identity pool needs them.
            "iamRolesToOverride": texts(configuration, "iamRolesToOverride"),
            "preferredRole": text(configuration, "preferredRole", default="") or None,
        },
    )


def _scopes_to_add(trigger: Trigger, groups: Iterable[str]) -> list[str]:
    """Raises `Refused` if Cognito does not return the scopes of the client."""
    if trigger.source == HOSTED or set(texts(trigger.request, "scopes")) != {SDK_SCOPE}:
        return []
    granted = scopes_of(groups)
    if not granted:
        return []
    try:
        return sorted(granted & _scopes_of_client(trigger.pool_id, trigger.client_id))
    except (BotoCoreError, ClientError) as error:
        raise Refused(refusal(Refusal.LATER, trigger.language)) from error


@lru_cache(maxsize=100)
def _scopes_of_client(pool_id: str, client_id: str) -> frozenset[str]:
    """The client's scopes, remembered for the life of this instance of the function."""
    described = client("cognito-idp").describe_user_pool_client(
        UserPoolId=pool_id, ClientId=client_id
    )
    return frozenset(described["UserPoolClient"].get("AllowedOAuthScopes", ()))


def _users_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes of the API among these that no machine may have."""
    return sorted(policy.SCOPES.keys() & set(scopes) - MACHINE_SCOPES)


def _changed(
    event: Event,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    groups: dict[str, object] | None = None,
) -> Event:
    details: dict[str, object] = {
        "accessTokenGeneration": {"scopesToAdd": list(add), "scopesToSuppress": list(remove)},
        "idTokenGeneration": {"claimsToSuppress": list(PRIVATE_CLAIMS)},
    }
    if groups is not None:
        details["groupOverrideDetails"] = groups
    return answered(event, claimsAndScopeOverrideDetails=details)
