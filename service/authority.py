"""Builds what decides who calls, for the API (`bootstrap`) and for the gateway's authorizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.auth.claims import AccessClaims
from service.auth.endpoint import Endpoint
from service.auth.gateway import GatewayCallers
from service.auth.iam import IamVerifier
from service.auth.keys import Keys, KeySet, PinnedKeys
from service.auth.revocation import RevocationCheck
from service.auth.roles import RoleGrants
from service.auth.sts import Sts
from service.auth.verifier import TokenVerifier
from service.auth.workshop import IdClaims, WorkshopVerifier
from service.settings import ApiSettings
from service.stores.dynamodb.client import dynamodb_client
from service.stores.revocations import DynamoRevocations


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The verifiers and revocations needed to judge a caller, and nothing else of the API."""

    verifier: TokenVerifier
    iam: IamVerifier | None
    id_tokens: WorkshopVerifier | None
    revoked: RevocationCheck


def build_authority(settings: ApiSettings) -> Authority:
    """The authority of the gateway's authorizer: keys, STS and revocations.

    Revocations are read from DynamoDB, because the Lambda function may have no route to Redis. The
    function does not report that it hears positions, because it hears none.
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
    """The verifier of the pool's access tokens, or of its ID tokens (with the rules `IdClaims`)."""
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


def workshop_verifier_of(settings: ApiSettings, keys: Keys) -> WorkshopVerifier | None:
    """The verifier for the workshop's page; None unless the setting allows ID tokens."""
    if not settings.workshop_id_tokens:
        return None
    return WorkshopVerifier(verifier_of(settings, keys), verifier_of(settings, keys, IdClaims))


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
