"""The metrics of the service, for Prometheus.

Labels are routes, outcomes, operations and other words of ours, never an id or a client's text, so
that the number of series is bounded. The `multiprocess_mode` of a gauge says how the values of
several processes become one (prometheus_client, "Multiprocess Mode").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, values

from service.observability import directory
from service.observability.files import CounterFile

if directory.current():
    # The library chooses the class when it is imported. That may be too early: the celery command
    # imports Flower, which imports the library, before it loads the application.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    values.MmapedDict = CounterFile  # type: ignore[attr-defined, assignment]

QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Buckets in seconds for calls to stores."""
WAITS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 480.0)
"""Buckets in seconds for the time that a rider waits."""

# The API
REQUESTS: Final = Histogram(
    "wildrydes_http_request_duration_seconds",
    "Time in seconds from the headers of a request to its answer. The label waited is yes if the "
    "request waited for news (Prefer: wait).",
    ["method", "route", "status", "waited"],
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0),
)
IN_FLIGHT: Final = Gauge(
    "wildrydes_http_requests_in_flight",
    "Requests that are being answered.",
    multiprocess_mode="livesum",
)
WAITERS: Final = Gauge(
    "wildrydes_http_waiters",
    "Long polls and event streams that are waiting for news.",
    multiprocess_mode="livesum",
)
STREAMS: Final = Gauge("wildrydes_http_streams", "Open event streams.", multiprocess_mode="livesum")
REFUSALS: Final = Counter(
    "wildrydes_refusals", "Requests refused by the guard, by reason.", ["reason"]
)
KEYS_FETCHED: Final = Gauge(
    "wildrydes_key_set_fetched_timestamp_seconds",
    "Time of the last fetch of the issuer's keys (seconds since 1970), of the process where it is "
    "longest ago; 0 before the first.",
    multiprocess_mode="livemin",
)

# Rides
RIDES_REQUESTED: Final = Counter("wildrydes_rides_requested", "Rides requested and stored.")
RIDES_ENDED: Final = Counter(
    "wildrydes_rides_ended", "Rides that ended, by outcome and by who canceled.", ["outcome", "by"]
)
TIME_TO_MATCH: Final = Histogram(
    "wildrydes_time_to_match_seconds",
    "Time in seconds from the request of a ride to its match.",
    buckets=WAITS,
)

# Dispatch
TRIGGER_LAG: Final = Histogram(
    "wildrydes_dispatch_trigger_lag_seconds",
    "Time in seconds from the oldest unread trigger of a zone to the start of the round that "
    "reads it.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
ROUND_RIDES: Final = Histogram(
    "wildrydes_round_rides",
    "Waiting rides that a round read.",
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
ROUND_SECONDS: Final = Histogram(
    "wildrydes_round_duration_seconds",
    "Time in seconds of a round, from reading the waiting rides to the last claim.",
    buckets=QUICK,
)
CLAIMS: Final = Counter(
    "wildrydes_claims",
    "Claims of a ride and a unicorn, by result: won, lost (to a conflict) or failed.",
    ["result"],
)
UNSEEN: Final = Counter(
    "wildrydes_rides_unseen",
    "Times that the sweep found a waiting ride that no round had read since it was requested.",
)
REENQUEUED: Final = Counter(
    "wildrydes_sweep_reenqueued", "Times that the sweep asked for a round for a waiting ride again."
)
PUT_BACK: Final = Counter(
    "wildrydes_sweep_put_back", "Times that the sweep failed on a ride and put it back for later."
)
SWEEP_SECONDS: Final = Histogram(
    "wildrydes_sweep_duration_seconds",
    "Time in seconds of a sweep over the rides that are due.",
    buckets=QUICK,
)
SWEPT: Final = Gauge(
    "wildrydes_sweep_last_run_timestamp_seconds",
    "Time at which a sweep last ended (seconds since 1970).",
    multiprocess_mode="max",
)
OLDEST_WAITING: Final = Gauge(
    "wildrydes_oldest_waiting_timestamp_seconds",
    "Time of request (seconds since 1970) of the ride that has waited longest, as the sweep saw "
    "it; 0 if no ride is waiting.",
    multiprocess_mode="livemostrecent",
)
EARLIEST_DEADLINE: Final = Gauge(
    "wildrydes_earliest_deadline_timestamp_seconds",
    "The earliest deadline (seconds since 1970) of the waiting rides, as the sweep saw them; 0 if "
    "no ride is waiting.",
    multiprocess_mode="livemostrecent",
)

DEAD_LETTERS: Final = Counter(
    "wildrydes_dead_letters", "Rides that were set aside as dead letters."
)
ENTRY_KINDS: Final = (
    *("ride", "plan", "place", "unicorn", "position", "message"),
    *("advice", "request", "run", "leg", "quote", "correction"),
)
UNREADABLE_ENTRIES: Final = Counter(
    "wildrydes_unreadable_entries",
    "Entries of stores and broker messages that could not be read, by kind.",
    ["kind"],
)

# Who is there
SILENCES_LEFT: Final = Counter(
    "wildrydes_silences_left",
    "Times that a silent unicorn kept its ride because many fell silent together.",
)
NOT_COMING: Final = Counter(
    "wildrydes_rides_not_coming",
    "Rides whose unicorn does not come, by outcome: taken_back, left (the unicorn keeps the ride) "
    "or held_back (too many at once).",
    ["outcome"],
)
FLEET_CALLS_REFUSED: Final = Counter(
    "wildrydes_fleet_calls_refused",
    "Calls of unicorns that were refused through no fault of theirs; they do not count as silence.",
)

# Repositioning
MOVE_OUTCOMES: Final = ("sent", "followed", "ignored", "rewarded")
MOVES: Final = Counter(
    "wildrydes_moves",
    "Idle unicorns by outcome of repositioning: got a new place to wait (sent), came nearer to it "
    "until the next run or not (followed, ignored), got a ride after following (rewarded).",
    ["outcome"],
)
MOVED_METRES: Final = Counter(
    "wildrydes_moved_metres", "Metres that idle unicorns drove to where they were told to wait."
)
DEMAND_KINDS: Final = ("predicted", "real", "apart")
DEMAND: Final = Counter(
    "wildrydes_demand_riders",
    "Riders in five minutes, predicted and real, and their differences, summed over cells.",
    ["what"],
)
MOVES_SECONDS: Final = Histogram(
    "wildrydes_moves_duration_seconds",
    "Time in seconds of a zone's run of repositioning.",
    buckets=QUICK,
)

# Clocks
CLOCK_OFF: Final = Gauge(
    "wildrydes_clock_off_seconds",
    "Seconds by which a clock (host, redis, dynamodb) differs from the service's time; the largest "
    "difference of all processes.",
    ["clock"],
    multiprocess_mode="livemax",
)

# Travel times
ROUTING_FAILURES: Final = Counter(
    "wildrydes_routing_failures",
    "Calls that the routing engine did not answer, or for which it knew no way at all.",
    ["cause"],
)
TOLD_RATIO: Final = Histogram(
    "wildrydes_told_ratio",
    "Time told to riders divided by the real time of the drive, by zone and kind of drive.",
    ["zone", "kind"],
    buckets=(0.25, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2, 1.25, 1.5, 2.0, 4.0),
)
QUOTES: Final = Counter(
    "wildrydes_promises",
    "Drives that ended within the latest time told to riders, or after it, by zone and kind.",
    ["zone", "kind", "kept"],
)

# Jobs
JOB_STATES: Final = ("SUCCESS", "FAILURE", "LOST", "TIMEOUT")
"""Celery's states, and two for jobs that ended with their pool process: killed or timed out."""
JOBS: Final = Counter("wildrydes_jobs", "Jobs that ended, by task and state.", ["task", "state"])
JOB_SECONDS: Final = Histogram(
    "wildrydes_job_duration_seconds",
    "Time in seconds that a job ran, by task.",
    ["task"],
    buckets=(*QUICK, 5.0, 15.0),
)
BUSY_SECONDS: Final = Counter(
    "wildrydes_worker_busy_seconds", "Time in seconds that the worker's pool spent on jobs."
)
POOL_PROCESSES: Final = Gauge(
    "wildrydes_worker_pool_processes", "Pool processes of the workers.", multiprocess_mode="livesum"
)
BEAT_TICKED: Final = Gauge(
    "wildrydes_beat_last_tick_timestamp_seconds",
    "Time of beat's last tick (seconds since 1970).",
    multiprocess_mode="livemax",
)
PUBLISHED: Final = Counter(
    "wildrydes_rounds_published",
    "Jobs for rounds, sweeps and repositioning sent to the broker, by result.",
    ["result"],
)

# Stores
DYNAMODB_SECONDS: Final = Histogram(
    "wildrydes_dynamodb_call_duration_seconds",
    "Time in seconds of an attempt to call DynamoDB; a retry counts as another one.",
    ["operation"],
    buckets=QUICK,
)
DYNAMODB_ERRORS: Final = Counter(
    "wildrydes_dynamodb_errors",
    "Calls to DynamoDB that failed, by operation and error.",
    ["operation", "error"],
)
DYNAMODB_UNITS: Final = Counter(
    "wildrydes_dynamodb_capacity_units",
    "Capacity units that calls to DynamoDB consumed, indexes included.",
    ["operation", "table"],
)
REDIS_SECONDS: Final = Histogram(
    "wildrydes_redis_call_duration_seconds",
    "Time in seconds of a call to Redis; a pipeline is one call.",
    buckets=QUICK,
)
REDIS_ERRORS: Final = Counter(
    "wildrydes_redis_errors", "Calls to Redis that failed, by error.", ["error"]
)

# A series that begins at 1 shows no increase, so counters with few label values begin at 0.
_LABELS: Final[Mapping[Counter, Iterable[tuple[str, ...]]]] = {
    CLAIMS: [("won",), ("lost",), ("failed",)],
    ROUTING_FAILURES: [("no_answer",), ("no_road",)],
    NOT_COMING: [("taken_back",), ("left",), ("held_back",)],
    MOVES: [(outcome,) for outcome in MOVE_OUTCOMES],
    DEMAND: [(what,) for what in DEMAND_KINDS],
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
