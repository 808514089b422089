"""Builds what the API stands on. Call once per process, after any fork."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from service.api.context import Dependencies
from service.core.ports import Ports
from service.round_queue import CeleryRoundQueue
from service.settings import ApiSettings
from service.stores.connect import build_ports
from service.stores.redis import connect as redis_stores
from service.stores.redis.link import RedisLink


def build(settings: ApiSettings) -> Dependencies:
    """Clients of every store, none of which opens a connection before its first use."""
    timeout = redis_stores.REQUEST_TIMEOUT_SECONDS
    redis = redis_stores.build(settings, timeout_seconds=timeout)
    rounds = CeleryRoundQueue(settings.broker_url, timeout_seconds=timeout)
    ports = build_ports(settings, redis, rounds)
    keys = KeySet()
    return Dependencies(
        settings=settings,
        ports=ports,
        verifier=AccessTokenVerifier(keys),
        now=_now,
        monotonic=time.monotonic,
        probes={
            "dynamodb": lambda: _answers(ports),
            "keys": keys.ready,
            "redis": lambda: _pings(redis.link),
        },
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
