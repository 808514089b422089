"""Builds the parts that decide who a caller is: for the API (`bootstrap`), and for the gateway's
authorizer.
"""

from __future__ import annotations

from pathlib import Path

from service.auth.callers import Authority
from service.auth.claims import AccessClaims
from service.auth.gateway import GatewayCallers
from service.auth.iam import IamVerifier
from service.auth.id_tokens import AccessOrIdClaims
from service.auth.jwks import Endpoint
from service.auth.keys import Keys, KeySet, PinnedKeys
from service.auth.revocation import RevocationCheck
from service.auth.roles import RoleGrants
from service.auth.sts import Sts
from service.auth.verifier import TokenVerifier
from service.settings import ApiSettings
from service.stores.dynamodb.client import dynamodb_client
from service.stores.revocations import DynamoRevocations


def build_authority(settings: ApiSettings) -> Authority:
    """The authority of the gateway's authorizer: keys, STS and revocations.

    Revocations are read from DynamoDB, because the Lambda function may have no route to Redis. For
    the same reason the authorizer does not report whether it is hearing.
    """
    keys = keys_of(settings)
    revocations = DynamoRevocations(dynamodb_client(settings), settings.operations_table)
    return Authority(
        verifier=verifier_of(settings, keys),
        iam=iam_verifier_of(settings),
        id_tokens=workshop_verifier_of(settings, keys),
        revoked=RevocationCheck(revocations),
    )


def keys_of(settings: ApiSettings) -> KeySet | PinnedKeys:
    """The pinned keys, or the issuer's, which are fetched in the background."""
    if settings.auth_jwks_file:
        return PinnedKeys(Path(settings.auth_jwks_file))
    fetch = Endpoint(settings.jwks_url, allow_http_hosts=settings.auth_jwks_allow_http_hosts)
    keys = KeySet(fetch)
    # Fetched now, so that the first caller need not wait.
    keys.start()
    return keys


def verifier_of(
    settings: ApiSettings, keys: Keys, rules: type[AccessClaims] = AccessClaims
) -> TokenVerifier:
    """The verifier of the pool's access tokens, or of the tokens that other `rules` accept."""
    return TokenVerifier(
        keys,
        rules(
            issuers=settings.issuers,
            client_ids=settings.cognito_client_ids,
            leeway_seconds=settings.auth_leeway_seconds,
            resource=settings.auth_resource,
            session_seconds=settings.auth_session_max_seconds,
        ),
    )


def workshop_verifier_of(settings: ApiSettings, keys: Keys) -> TokenVerifier | None:
    """The verifier for the workshop's page; None unless the setting allows ID tokens."""
    return verifier_of(settings, keys, AccessOrIdClaims) if settings.workshop_id_tokens else None


def iam_verifier_of(settings: ApiSettings) -> IamVerifier | None:
    """The verifier of IAM roles; None if no role has a scope."""
    if not settings.iam_role_scopes:
        return None
    return IamVerifier(
        Sts(settings.aws_region, settings.aws_endpoint_url_sts),
        RoleGrants(settings.iam_role_scopes),
        audience=settings.public_url,
        leeway_seconds=settings.auth_leeway_seconds,
    )


def gateway_callers_of(settings: ApiSettings) -> GatewayCallers:
    """Makes principals from what the API Gateway in front of the service says about its callers."""
    return GatewayCallers(
        settings.issuers,
        settings.identity_pool_id,
        RoleGrants(settings.identity_role_scopes, settings.identity_role_groups),
        RoleGrants(settings.iam_role_scopes),
    )
