"""Numbers of the service lie within what limits them.

A time that is too long or a memory that is too large shows itself only in production, when a store
hangs or a stranger floods a process. Bounds that another number sets are compared with that number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pkgutil import resolve_name
from typing import Final

import pytest
from prometheus_client import Histogram

from service import clock, probes
from service.auth import claims, revocation
from service.core import statistics, sweep, timeouts
from service.model import ride
from service.observability import instruments
from service.stores import revocations
from service.stores.dynamodb import calls, connections
from service.stores.redis import leases, locks
from worker import dependencies

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    # Seconds that a request waits for what it can do without.
    "service.bootstrap:REQUEST_TIMEOUT_SECONDS": (0.1, 0.5),
    "service.bootstrap:AUDIT_PATIENCE_SECONDS": (0.1, 0.5),
    "service.stores.redis.changes:ACKNOWLEDGED_WITHIN_SECONDS": (0.1, 0.5),
    # Readiness answers within a second.
    "service.probes:PATIENCE_SECONDS": (0.2, 0.8),
    "service.api.health:PROBE_SECONDS": (probes.PATIENCE_SECONDS, 0.95),
    # Who signs in waits for these, and Cognito waits 5 s for a function.
    "service.auth.sts:DEADLINE_SECONDS": (1, 5),
    "service.auth.revocation:PROMPT_SECONDS": (0.5, revocation.FRESH_SECONDS),
    "service.identity.aws:_CONFIG.connect_timeout": (0.2, 1),
    "service.identity.aws:_CONFIG.read_timeout": (0.5, 2),
    # Staff waits for these, and for a photo the job's time limit.
    "service.stores.cognito:_CONFIG.connect_timeout": (0.5, 2),
    "service.stores.cognito:_CONFIG.read_timeout": (1, 5),
    "service.stores.photos:_CONFIG.connect_timeout": (0.5, 2),
    "service.stores.photos:_CONFIG.read_timeout": (2, 10),
    # A call to DynamoDB ends within 5.5 s (`calls.PATIENCE_SECONDS`).
    "service.stores.dynamodb.client:_CONFIG.connect_timeout": (0.5, connections.CONNECT_SECONDS),
    "service.stores.dynamodb.client:_CONFIG.read_timeout": (1, connections.READ_SECONDS),
    "service.stores.dynamodb.connections:CONNECT_SECONDS": (0.5, 1),
    "service.stores.dynamodb.connections:READ_SECONDS": (1, 2),
    "service.stores.dynamodb.calls:FIRST_PAUSE_SECONDS": (0.005, calls.LONGEST_PAUSE_SECONDS / 10),
    "service.stores.dynamodb.calls:LONGEST_PAUSE_SECONDS": (0.1, calls.PATIENCE_SECONDS / 4),
    # A process starts without an answer. Celery gives a process of the pool 4 s.
    "service.clock:FIRST_READ_SECONDS": (0.5, 2),
    "service.stores.clocks:FIRST_SECONDS": (0.2, 1),
    "service.stores.credentials:FIRST_WITHIN_SECONDS": (0.5, 2),
    "service.stores.control:FIRST_READ_SECONDS": (0.5, 2),
    # A worker's main loop stops for these, and the end of a process for the spans.
    "worker.heartbeat:TIMEOUT_SECONDS": (0.2, 1),
    "worker.metrics:SCRAPE_TIMEOUT_SECONDS": (0.5, 2),
    "service.observability.otel:EXPORT_SECONDS": (1, 5),
    # A client that sends nothing holds a thread of the metrics server for this long.
    "service.observability.exposition:_Silent.timeout": (2, 9),
    # Seconds without calls to what failed: it is spared, and soon used again.
    "service.auth.sts:PAUSE_SECONDS": (0.5, 2),
    "service.auth.sts:RETRY_AFTER_SECONDS": (1, 2),
    "service.auth.revocation:PAUSE_SECONDS": (0.5, 2),
    "service.auth.revocation:RETRY_AFTER_SECONDS": (1, 2),
    "service.stores.broker:BREAK_SECONDS": (0.5, 2),
    "service.stores.redis.link:BREAK_SECONDS": (0.5, 2),
    "service.stores.redis.link:SEARCH_SECONDS": (0.5, 2),
    "service.stores.redis.changes:POLL_SECONDS": (0.5, 2),
    "service.stores.redis.changes:RECONNECT_SECONDS": (0.2, 1),
    "service.stores.redis.changes:MOST_UNANSWERED_PINGS": (2, 5),
    "service.stores.credentials:ATTEMPT_EVERY": (1, 5),
    "service.stores.routed:PAUSE_SECONDS": (2, 10),
    "service.core.rounds:FAILED_PAUSE_SECONDS": (0.1, 1),
    # Connections of clients that are slow or gone.
    "service.entrypoints.connection:VANISHED_SECONDS": (10, 60),
    "service.entrypoints.connection:LINGER_SECONDS": (0.2, 2),
    "service.entrypoints.server:STOPPING_SECONDS": (0.2, 2),
    "service.entrypoints.crowds:OTHERS_SECONDS": (0.5, 3),
    # Entries of memories that strangers or many callers fill: some megabytes.
    "service.auth.iam:_REMEMBERED": (500, 5000),
    "service.auth.revocation:_REMEMBERED": (5000, 50_000),
    "service.auth.schedule:ABSENT_KIDS": (500, 5000),
    "service.bootstrap:MOST_ETAS": (5000, 50_000),
    "service.hearing:MOST_REFUSED": (500, 5000),
    "service.http.gate:_CALLERS_REMEMBERED": (5000, 50_000),
    "service.http.limits:MOST_COUNTED": (10_000, 100_000),
    "service.matching.correction:RECENT_PLACES": (10_000, 100_000),
    "service.observability.otel:MOST_REMEMBERED": (5000, 50_000),
    "service.stores.corrections:MOST_ZONES": (100, 1000),
    "service.stores.dynamodb.connections:MOST_KEPT": (16, 128),
    "service.stores.dynamodb.client:_CONFIG.max_pool_connections": (16, 128),
    "service.stores.dynamodb.unicorns:MOST_ACCOUNTS_REMEMBERED": (50_000, 500_000),
    "service.stores.redis.moves:MOST_ZONES": (100, 1000),
    "service.stores.redis.remembered:MOST_REMEMBERED": (5000, 50_000),
    "service.stores.revocations:MOST_KEPT": (5000, 20_000),
    "service.stores.routed:MOST_REMEMBERED": (10_000, 100_000),
    # Sizes of what strangers send, or a store answers, in bytes.
    "service.auth.jwks:LARGEST_DOCUMENT_BYTES": (16_384, 131_072),
    "service.auth.sts:LARGEST_ANSWER_BYTES": (8192, 65_536),
    "service.entrypoints.server:ACCEPTED_AT_ONCE": (8, 50),
    "service.entrypoints.server:DRAINED_BYTES": (131_072, 2_097_152),
    "service.stores.osrm:MOST_BYTES_PER_CELL": (24, 100),
    "service.stores.osrm:MOST_BYTES_PER_PLACE": (1024, 8192),
    "service.outbound:_CHUNK_BYTES": (8192, 131_072),
    # What AWS takes at most.
    "service.model.page:ITEMS": (1, 100),
    "service.stores.dynamodb.calls:BATCH": (1, 100),
    "service.stores.dynamodb.due:STATEMENTS": (1, 25),
    "service.stores.dynamodb.items:MAX_KEY_BYTES": (512, 2048),
    "service.observability.figure_log:MOST_VALUES": (1, 100),
    # Work of one call or job, in items.
    "service.core.patrol:BATCH_UNICORNS": (100, 1000),
    "service.core.staff:MOST_READ": (100, 1000),
    "service.core.rides:NEWEST_READ": (50, 500),
    "service.stores.dynamodb.due:QUERY_MOST": (500, 2000),
    "service.stores.dynamodb.due:SEARCH_PAGES": (3, 30),
    "service.stores.dynamodb.listings:PAGES_SCANNED": (2, 10),
    "service.stores.redis.city_map:BATCH_UNICORNS": (100, 1000),
    "service.api.staff_operations:MOST_RIDES": (5000, 50_000),
    "service.command.tables:MOST_RIDES": (100_000, 5_000_000),
    "worker.dependencies:PARALLEL_CLAIMS": (4, 16),
    "worker.dependencies:SHARDS_AT_ONCE": (2, 8),
    # Reports of a process, of which some may get lost.
    "service.hearing:TIMES": (10, 50),
    # A lost trigger, job or holder costs a ride seconds.
    "service.bootstrap:JOB_TIMEOUT_SECONDS": (1, leases.LEASE_MS / 1000),
    "service.stores.redis.leases:MARK_MS": (500, 2000),
    "service.stores.redis.leases:NOTED_MS": (60 * leases.MARK_MS, 3600 * 1000),
    "service.stores.redis.waiting:UNSEEN_AFTER": (0.5, ride.FIRST_RETRY.total_seconds()),
    "service.stores.redis.leases:RUNNING_MS": (60 * leases.LEASE_MS, 3600 * 1000),
    "service.stores.redis.locks:LOCK_SECONDS": (dependencies.SWEEP_BUDGET_SECONDS + 0.5, 5),
    "worker.dependencies:SWEEP_BUDGET_SECONDS": (1, locks.LOCK_SECONDS),
    "service.core.timeouts:RETRY_EVERY": (2, 10),
    "service.core.timeouts:CHECK_MARGIN": (0.5, 2),
    "service.core.staff:WAITING_DUE_WITHIN": (timeouts.RETRY_EVERY.total_seconds() + 1, 30),
    "service.core.sweep:LONGEST_PAUSE": (30, 300),
    "service.model.ride:FIRST_RETRY": (1, 5),
    "service.model.ride:LIVENESS_CHECK": (5, sweep.LONGEST_PAUSE.total_seconds()),
    "service.stores.dynamodb.due:UNREADABLE_PAUSE": (60, 900),
    "service.stores.dynamodb.steps:EARLIEST_KNOWN_SECONDS": (
        timeouts.RETRY_EVERY.total_seconds() + 1,
        15,
    ),
    "service.stores.broker:SWEEP_EXPIRES": (2 * clock.BOUND.total_seconds(), 30),
    # What is revoked ends within the promised 5 s, whatever was read before.
    "service.stores.revocations:READ_EVERY_SECONDS": (0.5, 2),
    "service.stores.revocations:BELIEVED_SECONDS": (revocations.READ_EVERY_SECONDS + 2, 5),
    # Lives of tokens and sessions, in seconds; Cognito's limits.
    "service.auth.claims:LONGEST_LIFETIME_SECONDS": (86_400, 86_400),
    "service.auth.revocation:LONGEST_TOKEN_LIFE": (
        claims.LONGEST_LIFETIME_SECONDS,
        claims.LONGEST_LIFETIME_SECONDS,
    ),
    # What Redis keeps for people to look at.
    "service.stores.redis.unicorns:KEPT_SECONDS": (3600, 7 * 86_400),
    "service.stores.redis.moves:RUN_KEPT": (600, 86_400 / 3),
    "service.stores.redis.city_map:TIDIED_AFTER": (600, 86_400 / 3),
}
"""The least and the most that a number may be, in seconds if it is a time without a unit."""


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items())
def test_each_number_lies_within_its_bounds(name: str, bounds: tuple[float, float]) -> None:
    number = resolve_name(name)
    if isinstance(number, timedelta):
        number = number.total_seconds()
    assert bounds[0] <= number <= bounds[1]


def test_a_call_to_dynamodb_ends_when_its_documentation_says() -> None:
    last = connections.CONNECT_SECONDS + connections.READ_SECONDS
    assert calls.PATIENCE_SECONDS + last <= 5.5


@pytest.mark.parametrize(
    "bounds",
    [
        statistics.BOUNDS,
        *(
            each._upper_bounds[:-1]  # the last is infinite
            for each in vars(instruments).values()
            if isinstance(each, Histogram)
        ),
    ],
)
def test_neighbouring_classes_lie_within_a_factor_of_five(bounds: tuple[float, ...]) -> None:
    """A class that spans more tells little."""
    positive = [each for each in bounds if each]
    assert all(low < high <= 5 * low for low, high in pairwise(positive))
    assert len(positive) >= len(bounds) - 1
