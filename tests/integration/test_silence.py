"""A unicorn is not silent because the API is away: real API and Redis, as the sweep sees them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.core.ports import FleetIndex
from service.model import Location, Position
from service.stores.redis.fleet_index import RedisFleetIndex
from service.stores.redis.link import RedisLink, connect
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

STALE = timedelta(seconds=2)


def is_silent(fleet: FleetIndex) -> bool:
    return fleet.presence("u1", datetime.now(UTC)).silence > STALE


def test_a_unicorn_is_silent_only_while_an_api_runs_that_would_hear_it(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    fleet = RedisFleetIndex(RedisLink(connect(redis_server.url, timeout_seconds=2)), STALE)
    stale = {"UNICORN_STALE_SECONDS": str(int(STALE.total_seconds()))}
    with Stack(tmp_path, ministack, redis_server, roles=("web",), **stale) as stack:
        now = datetime.now(UTC)
        fleet.begin_epoch(now)
        fleet.record("u1", Position(Location(1, 2), now), now)
        stack.kill("web")
        time.sleep(2 * STALE.total_seconds())
        assert not is_silent(fleet)
        stack.start("web")
        wait_until(lambda: is_silent(fleet), "the silence of a unicorn that did not come back")
