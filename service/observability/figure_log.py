"""Writes a role's figures to its log every 20 seconds; CloudWatch Logs makes metrics of the lines.

This is for deployments where nothing scrapes the metrics of a role. The lines have the embedded
metric format, which needs no agent:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Generation_PutLogEvents.html
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client.registry import Collector

from service.background import Repeated
from service.observability import directory
from service.observability.figures import FIGURES, FRESH_SECONDS, Figure, Kind, Labels

logger = logging.getLogger(__name__)

SECONDS: Final = 20.0
"""Seconds between two attempts of a process to write a line. With several processes, a role writes
one every 10 to 20 s. An alarm evaluates minutes: with three lines per minute, one late line
leaves no gap."""
MOST_VALUES: Final = 100
"""The most values that one metric of a line may have (a limit of the format)."""
DIMENSION: Final = {"Service": "dispatch"}
"""The only dimension of all figures, so that CloudWatch adds up the figures of all tasks."""

Samples = Mapping[str, Sequence[tuple[Labels, float]]]
Totals = dict[str, dict[str, float]]
"""The counts at the time of the last line, by figure and by histogram bucket (`""` without one)."""


class FigureLog:
    """Writes the figures of one role. Each process of the role may run it.

    The processes of a role share a directory, which holds the time and the counts of the last line.
    A process writes no line if another process has written one recently.
    """

    def __init__(
        self,
        role: str,
        namespace: str,
        folder: Path,
        collector: Collector,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._figures = FIGURES[role]
        self._namespace = namespace
        self._folder = folder
        self._collector = collector
        self._now = now

    def keep_writing(self) -> None:
        """Write a line now and every 20 seconds after it, in a thread. Call this after any fork."""
        Repeated("figures", self.write, SECONDS).start()

    def write(self) -> None:
        """Write a line, unless another process of the role has just done so."""
        with directory.alone(self._folder, "figures.lock"):
            last = self._folder / "figures.json"
            state: Any = {"at": 0.0, "totals": {}}
            if last.exists():
                state = json.loads(last.read_text())
            now = self._now()
            if now - state["at"] < SECONDS / 2:
                return
            values, totals = figures_of(self._figures, self._samples(), state["totals"], now)
            # Without space, the file stays as it is, and a later line counts this period too.
            new = self._folder / "figures.new"
            new.write_text(json.dumps({"at": now, "totals": totals}))
            new.replace(last)
            logger.info("figures", extra=self._record(values, now))

    def _samples(self) -> Samples:
        samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for metric in self._collector.collect():
            for sample in metric.samples:
                samples[sample.name].append((sample.labels, sample.value))
        return samples

    def _record(self, values: Mapping[str, Any], now: float) -> dict[str, Any]:
        metrics = [
            {"Name": each.name, "Unit": each.unit} for each in self._figures if each.name in values
        ]
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [list(DIMENSION)],
            "Metrics": metrics,
        }
        # `service.logs` writes this field as `_aws`.
        format_of_line = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
        return {"embedded_metrics": format_of_line, **DIMENSION, **values}


def figures_of(
    figures: Sequence[Figure], samples: Samples, before: Totals, now: float
) -> tuple[dict[str, Any], Totals]:
    """The values of the figures that have a value, and the totals for the next line.

    `before`: the totals of the last line. `now`: seconds since 1970.
    """
    values: dict[str, Any] = {}
    totals: Totals = {}
    for figure in figures:
        chosen = [sample for sample in samples.get(figure.sample, ()) if figure.chosen(sample[0])]
        largest = max((value for _, value in chosen), default=0.0)
        earlier = before.get(figure.name, {})
        match figure.kind:
            case Kind.INCREASE:
                total = sum(value for _, value in chosen)
                totals[figure.name] = {"": total}
                values[figure.name] = round(total - earlier.get("", 0.0), 4)
            case Kind.VALUES:
                totals[figure.name] = {labels["le"]: value for labels, value in chosen}
                observed = _observations(totals[figure.name], earlier)
                if observed:
                    values[figure.name] = observed
            case Kind.AGE if largest and _is_fresh(figure, samples, now):
                values[figure.name] = round(max(now - largest, 0.0), 3)
            case Kind.VALUE if chosen:
                values[figure.name] = round(largest, 3)
    return values, totals


def _is_fresh(figure: Figure, samples: Samples, now: float) -> bool:
    instants = [value for _, value in samples.get(figure.fresh, ())]
    return not figure.fresh or now - max(instants, default=0.0) < FRESH_SECONDS


def _observations(buckets: Mapping[str, float], earlier: Mapping[str, float]) -> list[float]:
    """The new observations of a histogram, scaled down to `MOST_VALUES` if there are more."""
    bounds = sorted(buckets, key=float)
    increases = [buckets[bound] - earlier.get(bound, 0.0) for bound in bounds]
    if not increases or not increases[-1]:
        return []
    # Rounding up may add one to each bucket.
    scale = min(1.0, (MOST_VALUES - len(bounds)) / increases[-1])
    observed: list[float] = []
    for number, bound in enumerate(bounds):
        inside = increases[number] - (increases[number - 1] if number else 0.0)
        value = float(bound if bound != "+Inf" else bounds[number - 1])
        observed += [value] * math.ceil(inside * scale)
    return observed
