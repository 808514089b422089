"""Builds everything that a process works with. Call once per process, after any fork.

No client connects when it is made: it connects on first use.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from service.auth.id_tokens import IdClaims
from service.auth.keys import KeySet, PinnedKeys
from service.auth.revocation import RevocationCheck
from service.authority import (
    gateway_callers_of,
    iam_verifier_of,
    keys_of,
    verifier_of,
    workshop_verifier_of,
)
from service.background import Repeated
from service.clock import DYNAMODB, REDIS, Clock
from service.core.city_map import SharedMap
from service.core.pickup_etas import PickupEtas
from service.core.ports import Ports, RoundQueue, Rules
from service.core.staff import Oversight
from service.hearing import HearingReports
from service.matching.travel import GreatCircle
from service.observability.instruments import KEYS_FETCHED
from service.probes import probes_of
from service.settings import ApiSettings, Settings
from service.stores.broker import CeleryRoundQueue, RedisQueues
from service.stores.clocks import DynamoClock, redis_clock
from service.stores.cognito import CognitoUserPool, IdentityPool
from service.stores.control import DynamoControl, KnownControl
from service.stores.corrections import KnownCorrections
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.listings import DynamoRideHistory, DynamoRoster
from service.stores.dynamodb.operations import DynamoAuditLog, DynamoDeadLetters
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.unicorns import DynamoUnicorns
from service.stores.photos import S3Photos
from service.stores.redis.changes import RedisChanges
from service.stores.redis.city_map import RedisCityMap
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.legs import RedisLegs
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.moves import RedisMoves
from service.stores.redis.statistics import RedisStatistics
from service.stores.redis.waiting import RedisWaitingRides
from service.stores.redis.workers import RedisWorkers
from service.stores.revocations import TOPIC, DynamoRevocations, KnownRevocations
from service.stores.travel_times import zone_times

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.http.context import Dependencies

REQUEST_TIMEOUT_SECONDS: Final = 0.25
"""Time limit of a Redis call in a request: a rider must not wait for a cache."""
MOST_ETAS: Final = 10_000
"""The most pickup ETAs that a process remembers: several times the number of its followers."""
AUDIT_PATIENCE_SECONDS: Final = 0.25
"""How long an answer waits for its audit entry: not long, because the action is already done and
logged."""
KEYS_TOLD_SECONDS: Final = 5.0
"""How often a web process sets the metric of its last fetch of the keys."""
JOB_TIMEOUT_SECONDS: Final = 2.0
"""Time limit of a Redis call in a job: as long as a lease. The sweep does what remains undone."""


@dataclass(frozen=True, slots=True)
class RedisStores:
    """The stores in Redis."""

    link: RedisLink
    fleet: RedisFleetIndex
    waiting: RedisWaitingRides
    changes: RedisChanges


def redis_stores(
    settings: Settings, role: str = "command", *, timeout_seconds: float
) -> RedisStores:
    """Stores that share one connection pool and one breaker.

    `role`: the role of the process, which names its connections.
    """
    client = connect(settings.redis_url, timeout_seconds=timeout_seconds, name=f"wildrydes-{role}")
    link = RedisLink(client)
    return RedisStores(
        link=link,
        fleet=RedisFleetIndex(link, timedelta(seconds=settings.unicorn_stale_seconds)),
        waiting=RedisWaitingRides(link),
        changes=RedisChanges(link, client),
    )


def build_ports(
    settings: Settings,
    redis: RedisStores,
    rounds: RoundQueue,
    dynamodb: DynamoDBClient | None = None,
) -> Ports:
    """The ports on their stores, without background threads: enough for a command."""
    dynamodb = dynamodb or dynamodb_client(settings)
    retention = timedelta(days=settings.ride_retention_days)
    times = zone_times(settings, dynamodb)
    return Ports(
        rides=DynamoRides(dynamodb, settings.rides_table, retention=retention),
        unicorns=DynamoUnicorns(dynamodb, settings.unicorns_table),
        assignments=DynamoAssignments(
            dynamodb, settings.rides_table, settings.unicorns_table, retention=retention
        ),
        fleet=redis.fleet,
        waiting=redis.waiting,
        rounds=rounds,
        changes=redis.changes,
        control=DynamoControl(dynamodb, settings.operations_table),
        dead_letters=DynamoDeadLetters(dynamodb, settings.operations_table),
        legs=RedisLegs(redis.link),
        statistics=RedisStatistics(redis.link),
        moves=RedisMoves(redis.link),
        times=times,
        pickup_etas=PickupEtas(times, LRUCache(MOST_ETAS)),
        rules=rules_of(settings),
    )


def _with_background_reads(ports: Ports) -> Ports:
    """The same ports for a long-lived process, which reads the pause and more in the background."""
    times = replace(ports.times, corrections=KnownCorrections(ports.times.corrections).start())
    return replace(
        ports,
        control=KnownControl(ports.control).start(),
        times=times,
        pickup_etas=PickupEtas(times, LRUCache(MOST_ETAS)),
    )


def build_revocations(
    settings: Settings, redis: RedisStores, dynamodb: DynamoDBClient, now: Callable[[], datetime]
) -> KnownRevocations:
    """The process's copy of the revocations; `start` it to read them."""
    stored = DynamoRevocations(dynamodb, settings.operations_table)
    return KnownRevocations(stored, redis.changes.announce, now)


def build_oversight(
    settings: Settings,
    redis: RedisStores,
    dynamodb: DynamoDBClient,
    *,
    role: str,
    timeout_seconds: float,
) -> Oversight:
    """What only operators use, in addition to the ports. The broker may be on another Redis.

    `role` names its connection.
    """
    broker = RedisLink(
        connect(settings.broker_url, timeout_seconds=timeout_seconds, name=f"wildrydes-{role}")
    )
    return Oversight(
        history=DynamoRideHistory(dynamodb, settings.rides_table),
        roster=DynamoRoster(dynamodb, settings.unicorns_table),
        workers=RedisWorkers(redis.link),
        queues=RedisQueues(broker),
        audit=DynamoAuditLog(
            dynamodb, settings.operations_table, patience_seconds=AUDIT_PATIENCE_SECONDS
        ),
        city=city_map(settings, redis),
        statistics=RedisStatistics(redis.link),
    )


def city_map(settings: Settings, redis: RedisStores) -> RedisCityMap:
    """The store from which the map for staff is drawn and the unicorns are counted."""
    return RedisCityMap(redis.link, timedelta(seconds=settings.unicorn_stale_seconds))


def photos_of(settings: Settings, dynamodb: DynamoDBClient) -> S3Photos | None:
    """The store of the photos; None if photos are off."""
    if not settings.photos_bucket:
        return None
    bucket, region = settings.photos_bucket, settings.aws_region
    return S3Photos(dynamodb, settings.operations_table, bucket, region)


def rules_of(settings: Settings) -> Rules:
    """The rules of the service from its settings, in the units of the core."""
    return Rules(
        match_within=timedelta(seconds=settings.dispatch_deadline_seconds),
        offer_lasts=timedelta(seconds=settings.offer_seconds),
        offers_missed_max=settings.offers_missed_max,
        no_show_after=timedelta(seconds=settings.no_show_seconds),
        arrive_max_metres=settings.arrive_max_metres,
        stale_after=timedelta(seconds=settings.unicorn_stale_seconds),
        max_pickup_eta=timedelta(seconds=settings.dispatch_max_pickup_eta_seconds),
        reach_metres=GreatCircle().reach_metres(settings.dispatch_max_pickup_eta_seconds),
        max_active_rides=settings.rider_max_active_rides,
        plan_extends=timedelta(seconds=settings.dispatch_plan_seconds),
    )


def build_clock(settings: Settings, redis: RedisStores, dynamodb: DynamoDBClient) -> Clock:
    """The service's clock; it tells the host's time until it is read."""
    dynamo_clock = DynamoClock(dynamodb, settings.rides_table)
    return Clock({REDIS: redis_clock(redis.link), DYNAMODB: dynamo_clock})


@dataclass(frozen=True, slots=True)
class CommonParts:
    """What a web process and a pool process of a worker have in common."""

    redis: RedisStores
    dynamodb: DynamoDBClient
    clock: Clock
    rounds: CeleryRoundQueue
    ports: Ports


def build_common_parts(settings: Settings, role: str, *, timeout_seconds: float) -> CommonParts:
    """Stores, clock and ports, with threads that read clocks, pauses and corrections.

    `timeout_seconds`: the time limit of a call to Redis and to the broker.
    """
    redis = redis_stores(settings, role, timeout_seconds=timeout_seconds)
    dynamodb = dynamodb_client(settings)
    clock = build_clock(settings, redis, dynamodb)
    clock.keep_reading()
    rounds = CeleryRoundQueue(
        settings.broker_url,
        timeout_seconds=timeout_seconds,
        name=f"wildrydes-{role}",
        now=partial(clock.by, REDIS),
    )
    ports = _with_background_reads(build_ports(settings, redis, rounds, dynamodb))
    return CommonParts(redis, dynamodb, clock, rounds, ports)


def build(settings: ApiSettings) -> Dependencies:
    """Everything that the API works with; starts to fetch the keys."""
    # Imported late, because workers use the rest of this module and need no Flask.
    from service.http.context import Dependencies, IdentityDesk
    from service.http.limits import limiter_of

    timeout = REQUEST_TIMEOUT_SECONDS
    parts = build_common_parts(settings, "web", timeout_seconds=timeout)
    redis, dynamodb, ports, clock = parts.redis, parts.dynamodb, parts.ports, parts.clock
    hearing = HearingReports(ports, clock.now)
    hearing.begin()
    atexit.register(hearing.end)
    keys = keys_of(settings)
    pool = CognitoUserPool(settings.cognito_user_pool_id)
    # Each process tells its own: a scrape or a line of figures reaches one process of several.
    Repeated("age of the keys", partial(_tell_age, keys), KEYS_TOLD_SECONDS).start()
    revocations = build_revocations(settings, redis, dynamodb, clock.now).start()
    redis.changes.on(TOPIC, revocations.hurry)
    oversight = build_oversight(settings, redis, dynamodb, role="web", timeout_seconds=timeout)
    return Dependencies(
        settings=settings,
        ports=ports,
        oversight=oversight,
        shared_map=SharedMap(oversight.city, clock.now, time.monotonic),
        verifier=verifier_of(settings, keys),
        refused=hearing.refused,
        revocations=revocations,
        revoked=RevocationCheck(revocations, revocations.current),
        pool=pool,
        accounts=pool,
        photos=photos_of(settings, dynamodb),
        identities=IdentityDesk(
            verifier_of(settings, keys, IdClaims),
            IdentityPool(settings.identity_pool_id, settings.issuers[0]),
        )
        if settings.identity_pool_id
        else None,
        iam=iam_verifier_of(settings),
        id_tokens=workshop_verifier_of(settings, keys),
        gateway=gateway_callers_of(settings),
        limiter=limiter_of(settings),
        now=clock.now,
        monotonic=time.monotonic,
        probes=probes_of(settings, dynamodb, redis.link, keys.ready, ports.times.base)
        | {"clock": clock.is_within_bound},
    )


def _tell_age(keys: KeySet | PinnedKeys) -> None:
    """Set the metric to the instant of the last fetch, or 0 before the first.

    An instant, unlike an age, stays true between two scrapes.
    """
    KEYS_FETCHED.set(max(0.0, time.time() - keys.age_seconds()))
