"""What this process counts and measures, for Prometheus.

Labels are routes, outcomes, operations and other words of ours: never an id, never what a client
sent, so that the number of series is bounded. Gauges say how Prometheus is to see the values of
several processes as one (prometheus_client, "Multiprocess Mode").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, values

from service.observability import directory
from service.observability.files import CounterFile

if directory.current():
    # The library chooses when it is imported, which may have been long ago: the celery command
    # imports Flower, and that does, before it looks at the application.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    values.MmapedDict = CounterFile  # type: ignore[attr-defined, assignment]

QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds of a call to a store."""
WAITS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 480.0)
"""Seconds a rider waits."""

# The API
REQUESTS: Final = Histogram(
    "wildrydes_http_request_duration_seconds",
    "From the request's headers to its answer; a rider who waits for a match is waited for.",
    ["method", "route", "status"],
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0),
)
IN_FLIGHT: Final = Gauge(
    "wildrydes_http_requests_in_flight", "Requests under way.", multiprocess_mode="livesum"
)
WAITERS: Final = Gauge(
    "wildrydes_http_waiters",
    "Long polls and event streams that wait for news.",
    multiprocess_mode="livesum",
)
STREAMS: Final = Gauge(
    "wildrydes_http_streams", "Event streams that are open.", multiprocess_mode="livesum"
)
REFUSALS: Final = Counter(
    "wildrydes_refusals", "Requests that were not let in, by reason.", ["reason"]
)
KEYS_FETCHED: Final = Gauge(
    "wildrydes_key_set_fetched_timestamp_seconds",
    "When the token issuer's keys were last fetched, in the process where that is longest ago.",
    multiprocess_mode="livemin",
)

# Rides
RIDES_REQUESTED: Final = Counter("wildrydes_rides_requested", "Rides that were stored.")
RIDES_ENDED: Final = Counter(
    "wildrydes_rides_ended", "Rides that ended, how, and if canceled by whom.", ["outcome", "by"]
)
TIME_TO_MATCH: Final = Histogram(
    "wildrydes_time_to_match_seconds", "From the request of a ride to its unicorn.", buckets=WAITS
)

# Dispatch
TRIGGER_LAG: Final = Histogram(
    "wildrydes_dispatch_trigger_lag_seconds",
    "From the oldest trigger that no round had read to the start of the round that read it.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
ROUND_RIDES: Final = Histogram(
    "wildrydes_round_rides",
    "Waiting rides a round read.",
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
ROUND_SECONDS: Final = Histogram(
    "wildrydes_round_duration_seconds",
    "From reading the waiting rides to the last claim.",
    buckets=QUICK,
)
CLAIMS: Final = Counter(
    "wildrydes_claims",
    "Claims of a ride and a unicorn: won, lost to a conflict, failed.",
    ["result"],
)
UNSEEN: Final = Counter(
    "wildrydes_rides_unseen",
    "How often the sweep met a waiting ride that no round had read since it was requested.",
)
REENQUEUED: Final = Counter(
    "wildrydes_sweep_reenqueued", "How often the sweep put a waiting ride before a round again."
)
PUT_BACK: Final = Counter(
    "wildrydes_sweep_put_back", "How often the sweep could not look after a ride and put it back."
)
SWEEP_SECONDS: Final = Histogram(
    "wildrydes_sweep_duration_seconds", "Of a sweep over the rides that are due.", buckets=QUICK
)
SWEPT: Final = Gauge(
    "wildrydes_sweep_last_run_timestamp_seconds",
    "When a sweep last ended.",
    multiprocess_mode="max",
)
OLDEST_WAITING: Final = Gauge(
    "wildrydes_oldest_waiting_timestamp_seconds",
    "When the longest waiting of the rides the sweep looks after was requested; 0 if none waits.",
    multiprocess_mode="livemostrecent",
)

DEAD_LETTERS: Final = Counter("wildrydes_dead_letters", "What was put aside for people to look at.")
ENTRY_KINDS: Final = ("ride", "plan", "unicorn", "position", "message")
UNREADABLE_ENTRIES: Final = Counter(
    "wildrydes_unreadable_entries",
    "Entries in Redis and broker messages that no process can make sense of, by kind.",
    ["kind"],
)

# Who is there
SILENCES_LEFT: Final = Counter(
    "wildrydes_silences_left",
    "How often a ride was left with its silent unicorn since many had fallen silent together.",
)
NOT_COMING: Final = Counter(
    "wildrydes_rides_not_coming",
    "Rides whose unicorn does not come: taken back, left with it, held back since too many are.",
    ["outcome"],
)
FLEET_CALLS_REFUSED: Final = Counter(
    "wildrydes_fleet_calls_refused",
    "Calls of unicorns that could not be accepted, so that nobody counts as silent meanwhile.",
)

CLOCK_OFF: Final = Gauge(
    "wildrydes_clock_off_seconds",
    "How far a clock (host, redis, dynamodb) is from the middle one, where it is farthest.",
    ["clock"],
    multiprocess_mode="livemax",
)

# Promises
TOLD_RATIO: Final = Histogram(
    "wildrydes_told_ratio",
    "What riders were told a drive takes ÷ what it really took, by zone and kind of drive.",
    ["zone", "kind"],
    buckets=(0.25, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2, 1.25, 1.5, 2.0, 4.0),
)
PROMISES: Final = Counter(
    "wildrydes_promises",
    "Drives that ended by the latest time that riders were told, or later, by zone and kind.",
    ["zone", "kind", "kept"],
)

# Jobs
JOB_STATES: Final = ("SUCCESS", "FAILURE", "LOST", "TIMEOUT")
"""Celery's own, and those of jobs that ended with their pool process: killed, or out of time."""
JOBS: Final = Counter("wildrydes_jobs", "Jobs that ended, and how.", ["task", "state"])
BUSY_SECONDS: Final = Counter(
    "wildrydes_worker_busy_seconds", "Time the worker's pool processes spent on jobs."
)
POOL_PROCESSES: Final = Gauge(
    "wildrydes_worker_pool_processes", "Pool processes there are.", multiprocess_mode="livesum"
)
BEAT_TICKED: Final = Gauge(
    "wildrydes_beat_last_tick_timestamp_seconds",
    "When beat last looked at its clock.",
    multiprocess_mode="livemax",
)
PUBLISHED: Final = Counter(
    "wildrydes_rounds_published", "Jobs sent to the broker, and how that went.", ["result"]
)

# Stores
DYNAMODB_SECONDS: Final = Histogram(
    "wildrydes_dynamodb_call_duration_seconds",
    "Of a call to DynamoDB, its retries by the client included.",
    ["operation"],
    buckets=QUICK,
)
DYNAMODB_ERRORS: Final = Counter(
    "wildrydes_dynamodb_errors", "Calls that DynamoDB refused or lost.", ["operation", "error"]
)
DYNAMODB_UNITS: Final = Counter(
    "wildrydes_dynamodb_capacity_units",
    "Capacity DynamoDB says a call consumed, indexes included.",
    ["operation", "table"],
)
REDIS_SECONDS: Final = Histogram(
    "wildrydes_redis_call_duration_seconds", "Of a call (or pipeline) to Redis.", buckets=QUICK
)
REDIS_ERRORS: Final = Counter("wildrydes_redis_errors", "Calls that failed.", ["error"])

# A series that is born at 1 shows no increase: what has few labels begins at 0.
_LABELS: Final[Mapping[Counter, Iterable[tuple[str, ...]]]] = {
    CLAIMS: [("won",), ("lost",), ("failed",)],
    NOT_COMING: [("taken_back",), ("left",), ("held_back",)],
    PUBLISHED: [("sent",), ("failed",), ("not_tried",)],
    UNREADABLE_ENTRIES: [(kind,) for kind in ENTRY_KINDS],
    RIDES_ENDED: [
        ("completed", ""),
        ("unmatched", ""),
        *(("canceled", by) for by in ("rider", "admin", "system")),
    ],
}
for _counter, _series in _LABELS.items():
    for _labels in _series:
        _counter.labels(*_labels)
