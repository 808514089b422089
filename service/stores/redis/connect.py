"""Puts the Redis stores of one process together. Opens no connection: the first use does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from service.settings import Settings
from service.stores.redis.changes import RedisChanges
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.waiting import RedisWaitingRides

REQUEST_TIMEOUT_SECONDS: Final = 0.25
"""In a request: a rider must not wait for a cache."""
JOB_TIMEOUT_SECONDS: Final = 2.0
"""In a job: patience within the lease, then the sweep."""


@dataclass(frozen=True, slots=True)
class RedisStores:
    """The Redis side of the ports."""

    link: RedisLink
    fleet: RedisFleetIndex
    waiting: RedisWaitingRides
    changes: RedisChanges


def build(settings: Settings, *, timeout_seconds: float) -> RedisStores:
    """Stores that share one connection pool and one breaker."""
    link = RedisLink(connect(settings.redis_url, timeout_seconds=timeout_seconds))
    return RedisStores(
        link=link,
        fleet=RedisFleetIndex(link, timedelta(seconds=settings.unicorn_stale_seconds)),
        waiting=RedisWaitingRides(link),
        changes=RedisChanges(link, connect(settings.redis_url, timeout_seconds=timeout_seconds)),
    )
