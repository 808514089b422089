"""The ports on their real stores, for the API and the workers alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from service.core.ports import Ports, RoundQueue, Rules
from service.core.staff import Oversight
from service.matching.travel import GreatCircle, TravelTimes
from service.settings import Settings
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.dead_letters import DynamoDeadLetters
from service.stores.dynamodb.listings import DynamoRideHistory, DynamoRoster
from service.stores.dynamodb.pauses import DynamoPauses
from service.stores.dynamodb.unicorns import DynamoUnicorns
from service.stores.observed import ObservedAssignments, ObservedRides
from service.stores.osrm import RoutedTimes
from service.stores.pauses import CachedPauses
from service.stores.redis.connect import RedisStores
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.pauses import RedisPauses
from service.stores.redis.queues import RedisQueues
from service.stores.redis.workers import RedisWorkers
from service.stores.table_service import TableService

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def build_ports(
    settings: Settings,
    redis: RedisStores,
    rounds: RoundQueue,
    dynamodb: DynamoDBClient | None = None,
) -> Ports:
    """Call once per process, after any fork: clients hold connections and threads."""
    dynamodb = dynamodb or dynamodb_client(settings)
    retention = timedelta(days=settings.ride_retention_days)
    return Ports(
        rides=ObservedRides(dynamodb, settings.rides_table, retention=retention),
        unicorns=DynamoUnicorns(dynamodb, settings.unicorns_table),
        assignments=ObservedAssignments(
            dynamodb, settings.rides_table, settings.unicorns_table, retention=retention
        ),
        fleet=redis.fleet,
        waiting=redis.waiting,
        rounds=rounds,
        changes=redis.changes,
        pauses=CachedPauses(
            DynamoPauses(dynamodb, settings.operations_table), RedisPauses(redis.link)
        ),
        dead_letters=DynamoDeadLetters(dynamodb, settings.operations_table),
        rules=rules_of(settings),
    )


def build_oversight(
    settings: Settings, redis: RedisStores, dynamodb: DynamoDBClient, *, timeout_seconds: float
) -> Oversight:
    """What only operators ask, beside the ports. The broker may be another Redis."""
    broker = RedisLink(connect(settings.broker_url, timeout_seconds=timeout_seconds))
    return Oversight(
        history=DynamoRideHistory(dynamodb, settings.rides_table),
        roster=DynamoRoster(dynamodb, settings.unicorns_table),
        workers=RedisWorkers(redis.link),
        queues=RedisQueues(broker),
    )


def rules_of(settings: Settings) -> Rules:
    """The settings that are rules of the service, in the core's own units."""
    return Rules(
        deadline=timedelta(seconds=settings.dispatch_deadline_seconds),
        offer=timedelta(seconds=settings.offer_seconds),
        no_show=timedelta(seconds=settings.no_show_seconds),
        stale=timedelta(seconds=settings.unicorn_stale_seconds),
        max_pickup_eta=timedelta(seconds=settings.dispatch_max_pickup_eta_seconds),
        reach_metres=GreatCircle().reach_metres(settings.dispatch_max_pickup_eta_seconds),
        max_active_rides=settings.rider_max_active_rides,
    )


def travel_times(settings: Settings) -> TravelTimes:
    """The routing engine's if there is one. Call once per process, after any fork."""
    straight = GreatCircle()
    if not settings.travel_times_url:
        return straight
    return RoutedTimes(
        TableService(settings.travel_times_url),
        straight,
        budget_seconds=settings.travel_times_budget_ms / 1000,
        most_places=settings.travel_times_max_table,
    )
