"""The probes of `/readyz`; docker/RUNBOOK.md says which dependencies have none, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from service.matching.travel import TravelTimes
from service.settings import ApiSettings
from service.stores.dynamodb.calls import get_batch
from service.stores.dynamodb.schema import named_tables
from service.stores.osrm import TableService
from service.stores.redis.link import RedisLink, connect
from service.stores.routed import RoutedTimes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Probe = Callable[[], bool]
"""Checks whether a part that the service needs can be used; returns False or raises if not."""

PATIENCE_SECONDS: Final = 0.5
"""Time limit of one probe; all run at once, so that `/readyz` answers within a second."""


def probes_of(
    settings: ApiSettings,
    dynamodb: DynamoDBClient,
    redis: RedisLink,
    keys_ready: Probe,
    times: TravelTimes,
) -> dict[str, Probe]:
    """The probes by name; each returns False or raises if the part cannot be used.

    `times`: this process's travel times, which know whether the routing engine covers this city. An
    engine for another city would answer too.
    """
    probes: dict[str, Probe] = {
        "dynamodb": lambda: _all_tables_answer(settings, dynamodb),
        "keys": keys_ready,
        "redis": lambda: _answers(redis),
    }
    # If broker and Redis are one server, it has one probe.
    if settings.broker_url != settings.redis_url:
        broker = RedisLink(connect(settings.broker_url, timeout_seconds=PATIENCE_SECONDS))
        probes["broker"] = lambda: _answers(broker)
    if isinstance(times, RoutedTimes):
        routing = TableService(settings.travel_times_url)
        probes["routing"] = lambda: times.knows_the_city() and routing.answers(PATIENCE_SECONDS)
    return probes


def _all_tables_answer(settings: ApiSettings, dynamodb: DynamoDBClient) -> bool:
    """One consistent read of absent items: reaches each table and needs no extra right."""
    keys = {name: [{table.key: {"S": "readiness"}}] for name, table in named_tables(settings)}
    get_batch(dynamodb, keys, PATIENCE_SECONDS)  # type: ignore[arg-type] # Item's union
    return True


def _answers(link: RedisLink) -> bool:
    with link.use() as client:
        return bool(client.ping())
