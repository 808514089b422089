"""Numbers of the stores that are promised, or that other tests use by their names only.

What has a range instead of a value stands in `tests/unit/test_bounds.py`.
"""

from __future__ import annotations

from datetime import timedelta

from service.stores import broker, clocks, corrections, entries, osrm, revocations, routed
from service.stores.dynamodb import (
    assignments,
    calls,
    connections,
    due,
    items,
    listings,
    operations,
    schema,
    unicorns,
    updates,
)
from service.stores.redis import (
    city_map,
    fleet_index,
    geo_sets,
    leases,
    legs,
    link,
    moves,
    rounds,
    statistics,
    workers,
)
from service.stores.redis import unicorns as redis_unicorns


def test_what_a_process_remembers_is_as_old_as_documented() -> None:
    assert corrections.READ_EVERY_SECONDS == 30
    assert (routed.REMEMBERED_SECONDS, unicorns.ACCOUNT_REMEMBERED_SECONDS) == (300, 30)
    assert timedelta(seconds=30) == fleet_index.STATE_CHECK
    assert clocks.HALF_A_SECOND == 0.5


def test_dynamodb_is_read_in_the_portions_that_are_documented() -> None:
    assert (calls.PATIENCE_SECONDS, connections.LIVELY_SECONDS) == (2.5, 1)
    assert (revocations.REREAD_SECONDS, revocations.ITEMS_PER_PAGE) == (600, 1000)
    assert (due.QUERY_PAGE, listings.MOST_READ, listings.MOST_DAYS_READ) == (100, 1000, 31)
    assert (schema.LOOK_EVERY_SECONDS, schema.LONGEST_WAIT_SECONDS) == (1, 6 * 3600)
    assert (len(items.SHARDS), entries.SCHEMA) == (8, 1)
    assert (assignments.RIDE, assignments.UNICORN) == (0, 1)


def test_items_and_keys_are_kept_as_long_as_documented() -> None:
    assert operations.DynamoDeadLetters.remembered == timedelta(days=30)
    assert operations.DynamoAuditLog.remembered == timedelta(days=90)
    assert timedelta(days=7) == legs.REMEMBERED
    assert timedelta(hours=2) == statistics.REMEMBERED
    assert timedelta(hours=1) == workers.REMEMBERED
    assert timedelta(minutes=30) == moves.REMEMBERED
    assert timedelta(seconds=60) == redis_unicorns.STATE_TTL
    assert timedelta(seconds=30) == broker.ROUND_EXPIRES
    assert len(updates.new_write_id()) == 22, "the shortest text of 128 bits"
    assert (moves.QUARTER, moves.PROLONGED_SECONDS, geo_sets.BUCKET_SECONDS) == (900, 2, 30)
    assert (leases.LEASE_MS, leases.RENEW_SECONDS, rounds.PLANS_MS) == (2000, 0.5, 15_000)


def test_redis_and_the_routing_engine_are_asked_for_as_much_as_documented() -> None:
    assert link.MOST_CONNECTIONS == 4096
    assert (city_map.MOST_READ, city_map._CACHED) == (20_000, 10_000)
    assert (legs.MOST_QUOTES, legs.MOST_LEGS) == (500, 4000)
    assert (geo_sets.NORTHERNMOST, geo_sets.FIRST_RADIUS_METRES) == (85.05, 250)
    assert (fleet_index.CORNER_METRES, routed.FARTHEST_ROAD_METRES) == (160, 500)
    assert (osrm.MOST_AT_ONCE, osrm._ERROR_BYTES) == (8, 4096)
    assert (routed.STRANGE_PAIRS, routed.MOST_CELLS_PER_PAIR) == (10, 32)
    assert corrections.LARGEST_TERM == 4
