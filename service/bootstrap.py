"""Builds what the API stands on. Call once per process, after any fork."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from service.auth.endpoint import Endpoint
from service.auth.iam import IamVerifier
from service.auth.keys import Keys, KeySet, PinnedKeys
from service.auth.revocation import RevocationCheck
from service.auth.roles import RoleGrants
from service.auth.sts import Sts
from service.auth.verifier import AccessTokenVerifier
from service.auth.workshop import IdTokenVerifier, WorkshopVerifier
from service.core.ports import Ports
from service.http.context import Dependencies
from service.http.limits import limiter_of
from service.listening import start_listening
from service.observability.exposition import before_answers
from service.observability.instruments import KEYS_FETCHED
from service.settings import ApiSettings
from service.stores.broker import CeleryRoundQueue
from service.stores.connect import build_oversight, build_ports, travel_times
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.operations import DynamoRevocations
from service.stores.redis import connect as redis_stores
from service.stores.redis.limits import RedisCounters
from service.stores.redis.link import RedisLink
from service.stores.redis.revocations import RedisRevocations
from service.stores.revocations import CachedRevocations


def build(settings: ApiSettings) -> Dependencies:
    """Clients of every store, which connect when they are first used; keys are fetched at once."""
    timeout = redis_stores.REQUEST_TIMEOUT_SECONDS
    redis = redis_stores.build(settings, timeout_seconds=timeout)
    rounds = CeleryRoundQueue(settings.broker_url, timeout_seconds=timeout)
    dynamodb = dynamodb_client(settings)
    ports = build_ports(settings, redis, rounds, dynamodb)
    start_listening(ports.fleet, ports.rules.stale, _now)
    keys = _keys(settings)
    before_answers(lambda: _tell_age(keys))
    revocations = CachedRevocations(
        DynamoRevocations(dynamodb, settings.operations_table), RedisRevocations(redis.link)
    )
    return Dependencies(
        settings=settings,
        ports=ports,
        oversight=build_oversight(settings, redis, dynamodb, timeout_seconds=timeout),
        verifier=_verifier(settings, keys),
        revocations=revocations,
        revoked=RevocationCheck(revocations),
        travel=travel_times(settings),
        iam=_iam_verifier(settings),
        id_tokens=_workshop_verifier(settings, keys),
        limiter=limiter_of(settings, RedisCounters(redis.link)),
        now=_now,
        monotonic=time.monotonic,
        probes={
            "dynamodb": lambda: _answers(ports),
            "keys": keys.ready,
            "redis": lambda: _pings(redis.link),
        },
    )


def _keys(settings: ApiSettings) -> KeySet | PinnedKeys:
    if settings.auth_jwks_file:
        return PinnedKeys(Path(settings.auth_jwks_file))
    fetch = Endpoint(settings.jwks_url, allow_http_hosts=settings.auth_jwks_allow_http_hosts)
    keys = KeySet(fetch)
    # The first caller should not have to wait for them.
    keys.start()
    return keys


def _tell_age(keys: KeySet | PinnedKeys) -> None:
    """Told as an instant, which does not grow old between two answers; 0 is never."""
    KEYS_FETCHED.set(max(0.0, time.time() - keys.age_seconds()))


def _verifier(settings: ApiSettings, keys: Keys) -> AccessTokenVerifier:
    return AccessTokenVerifier(
        keys,
        issuers=settings.issuers,
        client_ids=settings.cognito_client_ids,
        leeway_seconds=settings.auth_leeway_seconds,
        resource=settings.auth_resource,
    )


def _workshop_verifier(settings: ApiSettings, keys: Keys) -> WorkshopVerifier | None:
    if not settings.workshop_id_tokens:
        return None
    id_tokens = IdTokenVerifier(
        keys,
        issuers=settings.issuers,
        client_ids=settings.cognito_client_ids,
        leeway_seconds=settings.auth_leeway_seconds,
    )
    return WorkshopVerifier(_verifier(settings, keys), id_tokens)


def _iam_verifier(settings: ApiSettings) -> IamVerifier | None:
    if not settings.iam_role_scopes:
        return None
    return IamVerifier(
        Sts(settings.aws_region, settings.aws_endpoint_url_sts),
        RoleGrants(settings.iam_role_scopes),
        audience=settings.public_url,
        leeway_seconds=settings.auth_leeway_seconds,
    )


def _answers(ports: Ports) -> bool:
    """A consistent read of an item that does not exist: reaches the table, needs no more rights."""
    ports.rides.get("readiness")
    return True


def _pings(link: RedisLink) -> bool:
    with link.use() as client:
        return bool(client.ping())


def _now() -> datetime:
    return datetime.now(UTC)
