"""The figures that each role writes to its log (`figure_log`), made from its Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

SLOW_SECONDS: Final = "0.25"
"""A plain request that takes longer is slow (docker/RUNBOOK.md, service level). The value is the
label of a bucket of the histogram, in seconds."""
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Routes that the platform calls every few seconds. The service level does not count them."""

FRESH_SECONDS: Final = 60.0
"""For how long a figure that needs a `fresh` instant has a value after that instant."""

Labels = Mapping[str, str]


class Kind(Enum):
    """How to compute a figure from its samples."""

    INCREASE = "the increase of the samples' sum since the last line"
    VALUE = "the largest sample"
    AGE = "the seconds since the latest sample, an instant; no value if all are 0 (never)"
    VALUES = "a histogram's new observations, each as its bucket's upper bound (or the largest one)"


@dataclass(frozen=True, slots=True)
class Figure:
    """A CloudWatch metric, computed from the Prometheus samples whose labels satisfy `chosen`."""

    name: str
    unit: str
    kind: Kind
    sample: str
    chosen: Callable[[Labels], bool] = lambda _: True
    fresh: str = ""
    """The sample of an instant. An age has no value if it is more than `FRESH_SECONDS` ago."""


def _with(**wanted: str) -> Callable[[Labels], bool]:
    return lambda labels: all(labels.get(name) == value for name, value in wanted.items())


def _but(name: str, *others: str) -> Callable[[Labels], bool]:
    return lambda labels: labels.get(name) not in others


def _is_plain(labels: Labels) -> bool:
    return labels["waited"] == "no" and labels["route"] not in PROBES


def _is_plain_and_good(labels: Labels) -> bool:
    return _is_plain(labels) and not labels["status"].startswith("5")


def _is_plain_and_quick(labels: Labels) -> bool:
    return _is_plain_and_good(labels) and labels["le"] == SLOW_SECONDS


def _count(name: str, sample: str, chosen: Callable[[Labels], bool] = lambda _: True) -> Figure:
    return Figure(f"wildrydes_{name}", "Count", Kind.INCREASE, f"wildrydes_{sample}", chosen)


_REQUESTS: Final = "http_request_duration_seconds"

EVERY: Final = (
    Figure("wildrydes_memory_bytes", "Bytes", Kind.VALUE, "wildrydes_memory_bytes"),
    Figure("wildrydes_clock_off_seconds", "Seconds", Kind.VALUE, "wildrydes_clock_off_seconds"),
    _count("redis_errors", "redis_errors_total"),
)
RIDES: Final = (
    *EVERY,
    _count("rides_ended", "rides_ended_total"),
    _count("rides_unmatched", "rides_ended_total", _with(outcome="unmatched")),
    _count("unreadable_entries", "unreadable_entries_total"),
    _count("routing_failures", "routing_failures_total"),
    _count(
        "dynamodb_errors",
        "dynamodb_errors_total",
        _but("error", "ConditionalCheckFailedException", "TransactionCanceledException"),
    ),
)
FIGURES: Final[Mapping[str, Sequence[Figure]]] = {
    "web": (
        *RIDES,
        _count("rides_requested", "rides_requested_total"),
        _count("fleet_calls_refused", "fleet_calls_refused_total"),
        _count("refusals", "refusals_total"),
        _count("plain_requests", f"{_REQUESTS}_count", _is_plain),
        _count("plain_requests_good", f"{_REQUESTS}_count", _is_plain_and_good),
        _count("plain_requests_quick", f"{_REQUESTS}_bucket", _is_plain_and_quick),
        Figure(
            "wildrydes_key_set_age_seconds",
            "Seconds",
            Kind.AGE,
            "wildrydes_key_set_fetched_timestamp_seconds",
        ),
        Figure("wildrydes_http_waiters", "Count", Kind.VALUE, "wildrydes_http_waiters"),
    ),
    "worker": (
        *RIDES,
        _count("rides_unseen", "rides_unseen_total"),
        _count("silences_left", "silences_left_total"),
        _count("rides_not_coming", "rides_not_coming_total", _but("outcome", "taken_back")),
        _count("sweeps", "sweep_duration_seconds_count"),
        _count("rides_put_back", "sweep_put_back_total"),
        _count("claims", "claims_total"),
        _count("claims_lost", "claims_total", _with(result="lost")),
        _count("jobs", "jobs_total"),
        _count("jobs_failed", "jobs_total", _but("state", "SUCCESS")),
        _count("dead_letters", "dead_letters_total"),
        _count("moves", "moves_total", _with(outcome="sent")),
        _count("moves_rewarded", "moves_total", _with(outcome="rewarded")),
        Figure(
            "wildrydes_worker_busy_seconds",
            "Seconds",
            Kind.INCREASE,
            "wildrydes_worker_busy_seconds_total",
        ),
        Figure("wildrydes_pool_processes", "Count", Kind.VALUE, "wildrydes_worker_pool_processes"),
        Figure(
            "wildrydes_sweep_age_seconds",
            "Seconds",
            Kind.AGE,
            "wildrydes_sweep_last_run_timestamp_seconds",
        ),
        Figure(
            "wildrydes_oldest_waiting_seconds",
            "Seconds",
            Kind.AGE,
            "wildrydes_oldest_waiting_timestamp_seconds",
        ),
        Figure(
            "wildrydes_past_deadline_seconds",
            "Seconds",
            Kind.AGE,
            "wildrydes_earliest_deadline_timestamp_seconds",
            # A worker that no longer sweeps keeps the last deadline that it saw.
            fresh="wildrydes_sweep_last_run_timestamp_seconds",
        ),
        Figure(
            "wildrydes_time_to_match_seconds",
            "Seconds",
            Kind.VALUES,
            "wildrydes_time_to_match_seconds_bucket",
        ),
    ),
    "beat": (
        *EVERY,
        Figure(
            "wildrydes_beat_age_seconds",
            "Seconds",
            Kind.AGE,
            "wildrydes_beat_last_tick_timestamp_seconds",
        ),
    ),
}
"""The figures of each role. A test compares them with the alarms and dashboard that read them."""
