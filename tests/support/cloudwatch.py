"""A model of CloudWatch for alarms: it makes metrics of log lines, and computes alarm states.

No emulator evaluates alarms, so the documented rules are here; `test_cloudwatch` holds them to the
tables of the documentation:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Series = Sequence[float | None]
"""Data points, the oldest first; None where there is none."""

MORE_POINTS: Final = 2
"""How many more points than its periods an alarm looks at: five for three in the documentation."""

_OPERATORS: Final[Mapping[type, Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}


class Metrics:
    """Metric data by namespace, name and dimensions."""

    def __init__(self) -> None:
        self._data: defaultdict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)

    def put(
        self, namespace: str, name: str, dimensions: Mapping[str, str], at: float, *values: float
    ) -> None:
        key = namespace, name, json.dumps(dimensions, sort_keys=True)
        self._data[key] += ((at, value) for value in values)

    def read(self, line: str) -> None:
        """Take the metrics out of a log line, if it has the embedded metric format."""
        entry = json.loads(line)
        for directive in entry.get("_aws", {}).get("CloudWatchMetrics", ()):
            at = entry["_aws"]["Timestamp"] / 1000
            for names in directive["Dimensions"]:
                dimensions = {name: entry[name] for name in names}
                for metric in directive["Metrics"]:
                    value = entry[metric["Name"]]
                    values = value if isinstance(value, list) else [value]
                    assert len(values) <= 100
                    self.put(directive["Namespace"], metric["Name"], dimensions, at, *values)

    def filtered(self, line: str, filters: Mapping[str, Any], at: float) -> None:
        """Apply metric filters of the form `{ $.field = * }` to a log line."""
        entry = json.loads(line)
        for each in filters.values():
            field = re.fullmatch(r"\{ \$\.(\w+) = \* \}", each["FilterPattern"])
            assert field
            (made,) = each["MetricTransformations"]
            if field[1] in entry:
                assert made["MetricValue"] == f"$.{field[1]}"
                self.put(made["MetricNamespace"], made["MetricName"], {}, at, entry[field[1]])

    def series(self, metric: Mapping[str, Any], stat: str, period: int, now: float, n: int) -> Any:
        """The last `n` data points that are complete at `now`."""
        dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", ())}
        key = metric["Namespace"], metric["MetricName"], json.dumps(dimensions, sort_keys=True)
        return [
            _statistic(
                stat,
                [
                    value
                    for at, value in self._data[key]
                    if now - (i + 1) * period <= at < now - i * period
                ],
            )
            for i in reversed(range(n))
        ]


def _statistic(stat: str, values: list[float]) -> float | None:
    if not values:
        return None
    if stat.startswith("p"):
        place = math.ceil(len(values) * float(stat[1:]) / 100) - 1
        return sorted(values)[max(place, 0)]
    return {"Sum": sum, "Minimum": min, "Maximum": max}[stat](values)


def state(alarm: Mapping[str, Any], metrics: Metrics, now: float) -> str:
    """The state of a metric alarm (its properties) that was OK before."""
    periods = int(alarm["EvaluationPeriods"])
    breaches = _COMPARISONS[alarm["ComparisonOperator"]]
    threshold = float(alarm["Threshold"])
    points = _points(alarm, metrics, now, periods + MORE_POINTS)
    return evaluated(
        [None if point is None else breaches(point, threshold) for point in points],
        periods,
        int(alarm.get("DatapointsToAlarm", periods)),
        alarm["TreatMissingData"],
    )


def evaluated(points: Sequence[bool | None], periods: int, to_alarm: int, missing: str) -> str:
    """The state for these points: breaching, not breaching or missing, the oldest first."""
    real = [point for point in points if point is not None]
    # Missing points are filled in only as far as the real ones do not suffice.
    filled = max(periods - len(real), 0)
    breaching = sum(real[-periods:]) + (filled if missing == "breaching" else 0)
    return "ALARM" if breaching >= to_alarm else "OK"


def _points(alarm: Mapping[str, Any], metrics: Metrics, now: float, n: int) -> Series:
    if "MetricName" in alarm:
        stat = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        found: Series = metrics.series(alarm, stat, int(alarm["Period"]), now, n)
        return found
    known: dict[str, Series] = {}
    result: Series = ()
    for each in alarm["Metrics"]:
        if "MetricStat" in each:
            stat = each["MetricStat"]
            known[each["Id"]] = metrics.series(
                stat["Metric"], stat["Stat"], int(stat["Period"]), now, n
            )
        else:
            tree = ast.parse(each["Expression"], mode="eval").body
            known[each["Id"]] = [_computed(tree, known, i) for i in range(n)]
        if each["ReturnData"]:
            result = known[each["Id"]]
    return result


def _computed(tree: ast.AST, known: Mapping[str, Series], i: int) -> float | None:
    """Metric math at one point: no value if an operand has none, or by a division by zero."""
    match tree:
        case ast.Constant(value=int(number) | float(number)):
            return float(number)
        case ast.Name(id=name):
            return known[name][i]
        case ast.Call(func=ast.Name(id="FILL"), args=[series, ast.Constant(value=int(number))]):
            value = _computed(series, known, i)
            return float(number) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            holds = _computed(condition, known, i)
            return None if holds is None else _computed(then if holds else otherwise, known, i)
        case ast.Compare(left=left, ops=[ast.GtE()], comparators=[right]):
            first, second = _computed(left, known, i), _computed(right, known, i)
            return None if first is None or second is None else float(first >= second)
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _computed(left, known, i), _computed(right, known, i)
            if first is None or second is None or (isinstance(op, ast.Div) and not second):
                return None
            return _OPERATORS[type(op)](first, second)
    raise ValueError(f"not understood: {ast.dump(tree)}")


def composite_state(rule: str, states: Mapping[str, str]) -> str:
    """The state of a composite alarm whose rule is `ALARM("a") AND ALARM("b")`."""
    parts = [re.fullmatch(r'ALARM\("([^"]+)"\)', part) for part in rule.split(" AND ")]
    assert all(parts)
    return "ALARM" if all(states[part[1]] == "ALARM" for part in parts if part) else "OK"
