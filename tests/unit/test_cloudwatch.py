"""Each alert of Prometheus is an alarm of CloudWatch, which fires from what the tasks log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.http.frame import QUIET
from service.logs import json_lines
from service.observability import figure_log, instruments
from service.observability.figures import FIGURES, PROBES
from tests.support.cloudwatch import Metrics, composite_state, evaluated, state
from tests.support.templates import ECS, of_kind, resources_of
from tests.unit.test_monitoring import ALERTS, DASHBOARD

GIVEN: Final = {
    "ClusterName": "rides",
    "WebServiceName": "web",
    "WorkerServiceName": "worker",
    "BalancerFullName": "app/rides/1",
    "WebTargetsFullName": "targetgroup/web/1",
    "WorkerLogGroup": "worker-logs",
    "CacheId": "cache-001",
}
MONITORING: Final = resources_of("monitoring.yaml", **GIVEN)
SCALING: Final = resources_of("scaling.yaml", **GIVEN)
NO_ALARM: Final = {
    "TimesNotTrue": "a median for each zone and kind of drive, which no figure of a whole task can "
    "say; a workspace of Managed Prometheus runs the rule itself, and staff read the median at "
    "/v1/admin/travel-times"
}
"""Alerts without an alarm, each with the reason."""


FILTERS: Final = of_kind(SCALING, "AWS::Logs::MetricFilter")
METRIC_ALARMS: Final = {
    each["AlarmName"].removeprefix("rides-"): each
    for part in (MONITORING, SCALING)
    for each in of_kind(part, "AWS::CloudWatch::Alarm").values()
}
COMPOSITES: Final = {
    each["AlarmName"].removeprefix("rides-"): each
    for each in of_kind(MONITORING, "AWS::CloudWatch::CompositeAlarm").values()
}
TELLING: Final = {
    name: each for name, each in (METRIC_ALARMS | COMPOSITES).items() if "AlarmActions" in each
}
"""Alarms that tell somebody, not only a composite alarm."""


def test_each_alert_has_an_alarm_or_a_reason() -> None:
    assert TELLING.keys() | NO_ALARM.keys() == ALERTS.keys()
    assert not TELLING.keys() & NO_ALARM.keys()


@pytest.mark.parametrize("name", sorted(TELLING))
def test_an_alarm_notifies_the_topic_of_the_alerts_severity(name: str) -> None:
    alarm = TELLING[name]
    severity = ALERTS[name]["labels"]["severity"]
    topics = {
        "page": {"arn:aws:sns:us-east-1:123456789012:rides-stack-page", "PageTopic", "AlarmTopic"},
        "ticket": {"arn:aws:sns:us-east-1:123456789012:rides-stack-ticket", "TicketTopic"},
    }
    assert topics[severity] & set(alarm["AlarmActions"])
    assert alarm["AlarmDescription"] == f"RUNBOOK: {name}"


def test_the_topics_have_the_names_that_the_alarms_use() -> None:
    names = {each["TopicName"] for each in of_kind(MONITORING, "AWS::SNS::Topic").values()}
    assert names == {"rides-stack-page", "rides-stack-ticket"}


@pytest.mark.parametrize("name", ["SweepSilent", "BeatSilent", "KeySetStale", "WorkersDown"])
def test_missing_data_of_a_figure_that_must_come_is_breaching(name: str) -> None:
    assert METRIC_ALARMS[name]["TreatMissingData"] == "breaching"


class Role(Collector):
    """What `exposition.Role` collects, from this process; all three roles share a collection."""

    bytes = 200e6

    def __init__(self) -> None:
        self.collected: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        self.collected = self.collected or list(REGISTRY.collect())
        yield from self.collected
        yield GaugeMetricFamily("wildrydes_memory_bytes", "Of the role.", value=self.bytes)


class Tasks:
    """The tasks of a cluster, which log their figures by a clock of the test."""

    def __init__(self, folder: Path) -> None:
        self.metrics = Metrics()
        self.now = 1_800_000_000.0
        self.role = Role()
        self.roles = list(FIGURES)
        self._logs = {}
        for role in FIGURES:
            (folder / role).mkdir()
            self._logs[role] = figure_log.FigureLog(
                role, "rides", folder / role, self.role, lambda: self.now
            )
            # Counts of other tests are in this process too.
            self._logs[role].write()
        self.metrics = Metrics()

    def take(self, line: str) -> None:
        self.metrics.read(line)

    def run(self, seconds: float, cause: Callable[[Tasks], object], step: float = 20) -> None:
        """Let a healthy cluster run, with what `cause` does at each step; 20 s as the tasks do."""
        for _ in range(int(seconds / step)):
            self.now += step
            _healthy(self)
            cause(self)
            self.role.collected = []
            for role in self.roles:
                self._logs[role].write()

    def aws(self, namespace: str, name: str, value: float, **dimensions: str) -> None:
        """A data point of AWS's own metrics."""
        self.metrics.put(namespace, name, dimensions, self.now - 1, value)

    def says(self, message: str, **fields: float) -> None:
        """A worker logs a line, which metric filters read."""
        record = logging.LogRecord("service.worker", logging.INFO, "", 0, message, (), None)
        record.__dict__.update(fields)
        self.metrics.filtered(json_lines().format(record), FILTERS, self.now - 1)

    def states(self) -> Mapping[str, str]:
        end = self.now + 1
        found = {
            each["AlarmName"]: state(each, self.metrics, end) for each in METRIC_ALARMS.values()
        }
        found |= {
            each["AlarmName"]: composite_state(each["AlarmRule"], found)
            for each in COMPOSITES.values()
        }
        return {name.removeprefix("rides-"): each for name, each in found.items()}


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tasks]:
    instruments.CLOCK_OFF.clear()
    logger = logging.getLogger(figure_log.__name__)
    monkeypatch.setattr(logger, "level", logging.INFO)
    handler = logging.Handler()
    handler.setFormatter(json_lines())
    logger.addHandler(handler)
    cluster: list[Tasks] = []
    monkeypatch.setattr(
        handler, "emit", lambda record: [each.take(handler.format(record)) for each in cluster]
    )
    cluster.append(Tasks(tmp_path))
    yield cluster[0]
    logger.removeHandler(handler)


BALANCER: Final = {"LoadBalancer": "app/rides/1"}


def _healthy(tasks: Tasks) -> None:
    made = instruments
    for instant in (made.SWEPT, made.BEAT_TICKED, made.KEYS_FETCHED):
        instant.set(tasks.now - 1)
    # A ride with a plan waits until 480 s after its deadline (`DISPATCH_PLAN_SECONDS`).
    made.OLDEST_WAITING.set(tasks.now - 650)
    made.EARLIEST_DEADLINE.set(tasks.now - 470)
    made.POOL_PROCESSES.set(2)
    made.BUSY_SECONDS.inc(10)
    made.SWEEP_SECONDS.observe(0.01)
    made.RIDES_REQUESTED.inc(100)
    made.RIDES_ENDED.labels("unmatched", "").inc(5)
    made.CLAIMS.labels("won").inc(100)
    made.CLAIMS.labels("lost").inc(5)
    made.JOBS.labels("dispatch.round", "SUCCESS").inc(100)
    made.NOT_COMING.labels("taken_back").inc()
    made.DYNAMODB_ERRORS.labels("PutItem", "ConditionalCheckFailedException").inc(50)
    made.CLOCK_OFF.labels("host").set(0.1)
    made.TIME_TO_MATCH.observe(0.2)
    _answer(10_000, 200, 0.01)
    _answer(100, 200, 20, waited="yes")
    tasks.says("round", trigger_lag_seconds=0.02, round_seconds=0.01)
    tasks.aws("AWS/ApplicationELB", "RequestCount", 10_000, **BALANCER)
    targets = BALANCER | {"TargetGroup": "targetgroup/web/1"}
    tasks.aws("AWS/ApplicationELB", "HealthyHostCount", 2, **targets)
    _running(tasks, 2)
    tasks.aws("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", 20, CacheClusterId="cache-001")
    tasks.aws("AWS/ElastiCache", "Evictions", 0, CacheClusterId="cache-001")


def _answer(
    count: int, status: int, seconds: float, waited: str = "no", route: str = "/v1/rides"
) -> None:
    """Count many requests at once, as repeated calls of `observe` would."""
    child = instruments.REQUESTS.labels("GET", route, str(status), waited)
    child._sum.inc(count * seconds)
    for bound, bucket in zip(child._upper_bounds, child._buckets, strict=True):
        if seconds <= bound:
            bucket.inc(count)
            break


def _running(tasks: Tasks, number: int) -> None:
    service = {"ClusterName": "rides", "ServiceName": "worker"}
    tasks.aws("ECS/ContainerInsights", "RunningTaskCount", number, **service)


def _high_memory(tasks: Tasks) -> None:
    tasks.role.bytes = 900e6


def _no_host(tasks: Tasks) -> None:
    targets = BALANCER | {"TargetGroup": "targetgroup/web/1"}
    tasks.aws("AWS/ApplicationELB", "HealthyHostCount", 1, **targets)


MADE: Final = instruments
CAUSES: Final[Mapping[str, Callable[[Tasks], object]]] = {
    "TriggersWait": lambda t: t.says("round", trigger_lag_seconds=3.0, round_seconds=0.01),
    "RidesUnseen": lambda _: MADE.UNSEEN.inc(),
    "RidesWaitTooLong": lambda t: MADE.EARLIEST_DEADLINE.set(t.now - 600),
    "RidesUnmatched": lambda _: MADE.RIDES_ENDED.labels("unmatched", "").inc(25),
    "FleetSilent": lambda _: MADE.SILENCES_LEFT.inc(),
    "FleetNotHeard": lambda _: MADE.FLEET_CALLS_REFUSED.inc(3),
    "SweepSilent": lambda t: MADE.SWEPT.set(t.now - 30),
    "BeatSilent": lambda t: MADE.BEAT_TICKED.set(t.now - 30),
    "KeySetStale": lambda t: MADE.KEYS_FETCHED.set(t.now - 2000),
    "DynamoDBFails": lambda _: MADE.DYNAMODB_ERRORS.labels("PutItem", "ThrottlingException").inc(3),
    "RedisFails": lambda _: MADE.REDIS_ERRORS.labels("TimeoutError").inc(2),
    "RidesNotComing": lambda _: MADE.NOT_COMING.labels("left").inc(),
    "RoutingFails": lambda _: MADE.ROUTING_FAILURES.labels("no_answer").inc(),
    "RidesPutBack": lambda _: MADE.PUT_BACK.inc(),
    "JobsFail": lambda _: MADE.JOBS.labels("dispatch.round", "LOST").inc(),
    "DeadLetters": lambda _: MADE.DEAD_LETTERS.inc(),
    "UnreadableEntries": lambda _: MADE.UNREADABLE_ENTRIES.labels("ride").inc(),
    "ClockOff": lambda _: MADE.CLOCK_OFF.labels("redis").set(7),
    "MemoryHigh": _high_memory,
    "ClaimConflicts": lambda _: MADE.CLAIMS.labels("lost").inc(50),
    "WorkersBusy": lambda _: MADE.BUSY_SECONDS.inc(25),
    "RequestsFail": lambda t: t.aws(
        "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", 300, **BALANCER
    ),
    "WorkersDown": lambda t: _running(t, 0),
    "TargetDown": _no_host,
    "RedisMemoryHigh": lambda t: t.aws(
        "AWS/ElastiCache", "DatabaseMemoryUsagePercentage", 80, CacheClusterId="cache-001"
    ),
    "RedisEvicts": lambda t: t.aws("AWS/ElastiCache", "Evictions", 3, CacheClusterId="cache-001"),
}
"""What makes each alarm fire, and no other one."""


def firing(tasks: Tasks) -> set[str]:
    return {name for name, each in tasks.states().items() if each == "ALARM"}


def test_a_healthy_cluster_fires_nothing(tasks: Tasks) -> None:
    tasks.run(660, lambda _: None)
    assert firing(tasks) == set()


@pytest.mark.parametrize("name", sorted(CAUSES))
def test_an_alarm_fires_of_its_cause_and_ends_after_it(tasks: Tasks, name: str) -> None:
    tasks.run(660, CAUSES[name])
    assert firing(tasks) == {name}
    tasks.role.bytes = 200e6
    instruments.CLOCK_OFF.clear()
    tasks.run(1200, lambda _: None, step=60)
    assert firing(tasks) == set()


@pytest.mark.parametrize(("number", "expected"), [(9, "OK"), (10, "ALARM")])
@pytest.mark.parametrize(
    ("name", "part", "whole"),
    [
        ("RidesUnmatched", "wildrydes_rides_unmatched", "wildrydes_rides_requested"),
        ("ClaimConflicts", "wildrydes_claims_lost", "wildrydes_claims"),
    ],
)
def test_a_share_of_few_says_nothing(
    name: str, part: str, whole: str, number: int, expected: str
) -> None:
    """Numbers of each period of five minutes, all of which are lost."""
    metrics = Metrics()
    for at in (100, 400):
        for each in (part, whole):
            metrics.put("rides", each, {"Service": "dispatch"}, at, number)
    assert state(METRIC_ALARMS[name], metrics, 600) == expected


def test_a_worker_that_no_longer_sweeps_says_nothing_of_waiting_rides(tasks: Tasks) -> None:
    def cause(tasks: Tasks) -> None:
        MADE.SWEPT.set(tasks.now - 90)
        MADE.EARLIEST_DEADLINE.set(tasks.now - 600)

    tasks.run(660, cause)
    assert firing(tasks) == {"SweepSilent"}


@pytest.mark.parametrize(
    ("slow", "failed", "expected"),
    [
        (0, 0, set()),
        (0, 20, {"AvailabilityBurnsFast", "AvailabilityBurnsSlow"}),
        (0, 10, {"AvailabilityBurnsSlow"}),
        (250, 0, {"LatencyBurnsFast", "LatencyBurnsSlow"}),
        (100, 0, {"LatencyBurnsSlow"}),
        (40, 0, set()),
    ],
)
def test_the_service_level_is_watched_over_two_windows(
    tasks: Tasks, slow: int, failed: int, expected: set[str]
) -> None:
    """Numbers per 1,000 plain requests. Long polls do not count."""

    def cause(_: Tasks) -> None:
        _answer(10 * slow, 200, 0.9)
        _answer(10 * failed, 503, 0.01)

    tasks.run(8 * 3600, cause, step=300)
    assert {name for name in firing(tasks) if "Burns" in name} == expected


def test_the_platforms_probes_do_not_count_for_the_service_level(tasks: Tasks) -> None:
    assert PROBES == QUIET

    def cause(_: Tasks) -> None:
        for route in PROBES:
            _answer(1_000_000, 200, 0.01, route=route)
        _answer(200, 503, 0.01)

    tasks.run(2 * 3600, cause, step=200)
    assert "AvailabilityBurnsFast" in firing(tasks)


def test_a_service_level_alarm_ends_soon_after_its_cause(tasks: Tasks) -> None:
    tasks.run(2 * 3600, lambda _: _answer(1000, 503, 0.01), step=200)
    assert "AvailabilityBurnsFast" in firing(tasks)
    tasks.run(600, lambda _: None, step=200)
    assert "AvailabilityBurnsFast" not in firing(tasks)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("worker", "SweepSilent"), ("beat", "BeatSilent"), ("web", "KeySetStale")],
)
def test_a_role_that_logs_no_figures_fires_an_alarm(tasks: Tasks, role: str, expected: str) -> None:
    tasks.run(600, lambda _: None)
    tasks.roles.remove(role)
    tasks.run(300, lambda _: None)
    assert firing(tasks) == {expected}


def test_the_alarms_that_roll_a_deployment_back_exist() -> None:
    (value,) = re.findall(r'Value: !Sub "(\S+,\S+)"', (ECS / "monitoring.yaml").read_text())
    names = {each.removeprefix("${ClusterName}-") for each in value.split(",")}
    assert names == {"JobsFail", "RequestsFail", "SweepSilent"}
    assert names <= METRIC_ALARMS.keys()


def metrics_in(part: Any) -> Iterator[tuple[str, str]]:
    """Namespace and name of every metric that an alarm or a dashboard reads."""
    match part:
        case {"Namespace": str(namespace), "MetricName": str(name)}:
            yield namespace, name
        case [str(namespace), str(name), *_]:
            yield namespace, name
        case Mapping() | list():
            for each in part.values() if isinstance(part, Mapping) else part:
                yield from metrics_in(each)


BODY: Final = json.loads(
    of_kind(MONITORING, "AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]
)


def test_alarms_and_dashboard_read_what_the_tasks_write_and_all_of_it() -> None:
    written = {each.name for figures in FIGURES.values() for each in figures}
    filtered = {each["MetricTransformations"][0]["MetricName"] for each in FILTERS.values()}
    shown = [each["properties"].get("metrics", ()) for each in BODY["widgets"]]
    read = {
        name
        for namespace, name in (*metrics_in(METRIC_ALARMS), *metrics_in(list(shown)))
        if namespace == "rides"
    }
    in_logs = {name for each in BODY["widgets"] for name in re.findall(r"wildrydes_\w+", str(each))}
    assert read <= written | filtered
    assert read | in_logs == written | filtered


def test_the_dashboard_has_the_rows_of_grafanas() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    texts = [each["properties"]["markdown"] for each in BODY["widgets"] if each["type"] == "text"]
    assert texts == [f"# {row}" for row in rows]


def test_the_widgets_fill_the_grid_of_24_columns_without_gap_or_overlap() -> None:
    filled = [
        (each["x"] + column, each["y"] + row)
        for each in BODY["widgets"]
        for column in range(each["width"])
        for row in range(each["height"])
    ]
    rows = {row for _, row in filled}
    assert sorted(filled) == [(column, row) for column in range(24) for row in range(len(rows))]


DOCUMENTED: Final = [
    ("0-X-X", 3, 3, "OK", "OK"),
    ("0----", 3, 3, "OK", "OK"),
    ("-----", 3, 3, "ALARM", "OK"),
    ("0XX-X", 3, 3, "ALARM", "ALARM"),
    ("----X", 3, 3, "ALARM", "OK"),
    ("0-X-X", 3, 2, "ALARM", "ALARM"),
    ("00X0X", 3, 2, "ALARM", "ALARM"),
    ("0-X--", 3, 2, "ALARM", "OK"),
    ("----0", 3, 2, "ALARM", "OK"),
    ("----X", 3, 2, "ALARM", "OK"),
]
"""The documentation's tables: points, periods, points to alarm, states if missing is (not)
breaching."""


@pytest.mark.parametrize(("points", "periods", "to_alarm", "breaching", "fine"), DOCUMENTED)
def test_states_are_those_of_the_documentation(
    points: str, periods: int, to_alarm: int, breaching: str, fine: str
) -> None:
    read = [{"0": False, "X": True, "-": None}[point] for point in points]
    assert evaluated(read, periods, to_alarm, "breaching") == breaching
    assert evaluated(read, periods, to_alarm, "notBreaching") == fine
